// A tab that is really hidden, in Chromium with a window: its timers are throttled, and its connection dies without a word.

import assert from "node:assert/strict";
import { test } from "node:test";

import { launch } from "./browser/browsers.js";
import { network, relay } from "./relay.js";

test("a hidden tab whose timers come once a minute finds within seconds that its connection is dead", { timeout: 180_000 }, async (t) => {
  const address = await relay(t);
  const browser = await launch(t, "hiding");
  if (!browser) {
    assert.ok(!process.env.CI, "Chromium or Xvfb is not installed: scripts/test setup");
    return t.skip("Chromium or Xvfb is not installed");
  }
  const wire = await network(t, address);
  const run = browser.page("first");
  await run(async (near, far, second) => {
    globalThis.ada = await roomcast.join(`${near}/rooms/abc`, { name: "Ada" });
    globalThis.bob = await roomcast.join(`${far}/rooms/abc`, { name: "Bob" });
    globalThis.got = [];
    globalThis.news = [];
    bob.on("message", ({ data }) => got.push(data));
    for (const event of ["lost", "resumed", "reset", "closed"]) bob.on(event, () => news.push([event, performance.now()]));
    globalThis.tab = open(second);
  }, `ws://${address}`, `ws://${wire.address}`, `${browser.address}?page=second`);
  const second = browser.page("second");
  assert.equal(await second(() => document.visibilityState), "visible");
  // Until timers that timers set come once a minute.
  const throttled = await run(async () => {
    while (!document.hidden) await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
    for (let last = performance.now(), chain = 0; ; ) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      const passed = performance.now() - last;
      last = performance.now();
      if (passed > 5_000) return chain;
      if (++chain > 100) return null;
    }
  });
  assert.notEqual(throttled, null, "its timers are throttled");
  const heartbeats = await run(() => news.length);
  assert.equal(heartbeats, 0, "the connection was kept up meanwhile");
  wire.silence();
  await run(() => {
    ada.send("is anybody there?");
    globalThis.since = performance.now();
  });
  const [names, took, said] = await run(async () => {
    while (got.length === 0) await fetch("/browser/blank.html");
    return [news.map(([event]) => event), news.at(-1)[1] - since, got];
  });
  assert.deepEqual([names, said], [["lost", "resumed"], ["is anybody there?"]]);
  t.diagnostic(`back after ${Math.round(took)} ms`);
  assert.ok(took < 15_000, `${took} ms`);
});
