// The client in three browsers, behind a proxy that lets no WebSocket through, against the real relay.

import assert from "node:assert/strict";
import { test } from "node:test";

import { BROWSERS, launch } from "./browser/browsers.js";
import { proxy, relay } from "./relay.js";

const limits = { timeout: 120_000 };

/** Run in a page: Ada, whom nothing hinders, and Bob behind the proxy; `by` is what carried him, each time. */
async function enter(near, far) {
  const { carriers } = await import("/dist/carriers.js");
  globalThis.by = [];
  globalThis.got = [[], []];
  globalThis.ada = await roomcast.join(`ws://${near}/rooms/abc`, { name: "Ada" });
  globalThis.bob = await roomcast.join(`ws://${far}/rooms/abc`, { name: "Bob", WebSocket: carriers({ told: (carrier) => by.push(carrier) }) });
  [ada, bob].forEach((room, i) => room.on("message", ({ data }) => got[i].push(data)));
  globalThis.until = async (what) => {
    for (let i = 0; !what(); i++) {
      if (i > 3_000) throw new Error(`never: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  return by;
}

/** Run in a page: both say numbers, for so long and then until each has all of the other's. Returns how many there were, and what came. */
async function talk(ms) {
  const end = performance.now() + ms;
  let n = 0;
  for (; performance.now() < end; n++) {
    ada.send(`${n}`);
    bob.send(`${n}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await until(() => got.every(({ length }) => length >= n));
  return [n, ...got];
}

/** Each has all of the other's, once and in order. */
function all([count, ...heard]) {
  assert.ok(count > 10, `${count}`);
  const numbers = Array.from({ length: count }, (_, n) => `${n}`);
  assert.deepEqual(heard, [numbers, numbers]);
}

for (const name of Object.keys(BROWSERS)) {
  test(`${name} without WebSockets: plays by polls, remembers that, and goes back to a WebSocket in mid-game`, limits, async (t) => {
    const address = await relay(t);
    const browser = await launch(t, name);
    if (!browser) {
      assert.ok(!process.env.CI, `${name} is not installed: scripts/test setup`);
      return t.skip(`${name} is not installed`);
    }
    const wire = await proxy(t, address);
    const run = browser.page("first");
    assert.deepEqual(await run(enter, address, wire.address), ["poll"]);
    all(await run(talk, 1_000));
    assert.equal(wire.preflights, 0);
    const { upgrades } = wire;
    await run(() => Promise.all([ada.leave(), bob.leave()]).then(() => "reload"));
    assert.deepEqual(await run(enter, address, wire.address), ["poll"]);
    assert.equal(wire.upgrades, upgrades);
    wire.how = "pass";
    all(await run(talk, 12_000));
    assert.deepEqual(await run(() => by), ["poll", "ws"]);
  });
}
