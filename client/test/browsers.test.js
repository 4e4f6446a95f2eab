// The client in three browsers, over ws and wss, against the real relay, through a network that breaks.

import assert from "node:assert/strict";
import { test } from "node:test";

import { BROWSERS, launch } from "./browser/browsers.js";
import { network, relay, secureRelay } from "./relay.js";

const limits = { timeout: 120_000 };

/** Run in a page: two players of one room, the second over the network that breaks, and all that they hear. */
async function enter(near, far) {
  const join = (url, name) => roomcast.join(`${url}/rooms/abc`, { name });
  globalThis.ada = await join(near, "Ada");
  globalThis.bob = await join(far, "Bob");
  globalThis.got = [];
  globalThis.news = [];
  bob.on("message", ({ data }) => got.push(data));
  for (const event of ["lost", "resumed", "reset", "closed"]) bob.on(event, (why) => news.push([event, why?.message, performance.now()]));
  globalThis.until = async (what) => {
    for (let i = 0; !what(); i++) {
      if (i > 3_000) throw new Error(`never: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  return [ada.me.id, bob.me.id];
}

/** Run in a page: what Ada says from here on, until Bob has had it all. */
async function talk(from, to) {
  for (let n = from; n < to; n++) ada.send(`${n}`);
  ada.state(0, `${to}`);
  await until(() => got.length >= to && bob.players.get(ada.me.id)?.states.get(0) === `${to}`);
  return got;
}

const numbers = (count) => Array.from({ length: count }, (_, n) => `${n}`);

for (const name of Object.keys(BROWSERS)) {
  for (const scheme of ["ws", "wss"]) {
    test(`${name} over ${scheme}: plays, is cut off and comes back, is loaded again, and in two tabs`, limits, async (t) => {
      const { address, ca } = scheme === "wss" ? await secureRelay(t) : { address: await relay(t) };
      const browser = await launch(t, name, ca);
      if (!browser) {
        assert.ok(!process.env.CI, `${name} is not installed: scripts/test setup`);
        return t.skip(`${name} is not installed`);
      }
      const wire = await network(t, address);
      // By a name that the certificate is for.
      const [near, far] = [address, wire.address].map((at) => `${scheme}://${at.replace("127.0.0.1", "localhost")}`);
      const run = browser.page("first");
      assert.deepEqual(await run(enter, near, far), [1, 2]);
      assert.deepEqual(await run(talk, 0, 50), numbers(50));

      await t.test("resets and refusals", async () => {
        wire.cut();
        await run(() => until(() => news.some(([event]) => event === "lost")));
        const talking = run(talk, 50, 100);
        await new Promise((resolve) => setTimeout(resolve, 1_200));
        wire.restore();
        const restored = performance.now();
        await run(() => until(() => news.some(([event]) => event === "resumed")));
        t.diagnostic(`back ${Math.round(performance.now() - restored)} ms after the network`);
        assert.deepEqual(await talking, numbers(100));
      });

      await t.test("1,000 states a second", async () => {
        const [newest, closed] = await run(async () => {
          let n = 0;
          await new Promise((resolve) => {
            const timer = setInterval(() => {
              for (let i = 0; i < 10; i++) ada.state(1, `${++n}`);
              if (n >= 2_000) resolve(clearInterval(timer));
            }, 10);
          });
          const value = () => bob.players.get(ada.me.id).states.get(1);
          await until(() => value() === "2000");
          return [value(), news.some(([event]) => event === "closed")];
        });
        assert.deepEqual([newest, closed], ["2000", false]);
      });

      await t.test("silence", async () => {
        await run(() => void (news.length = 0));
        wire.silence();
        assert.deepEqual(await run(talk, 100, 120), numbers(120));
        assert.deepEqual(await run(() => news.map(([event]) => event)), ["lost", "resumed"]);
        assert.match(await run(() => news[0][1]), /nothing was heard for 6 s/);
      });

      await t.test("loaded again", async () => {
        await run(() => {
          sessionStorage.setItem("token", bob.token);
          return "reload";
        });
        const again = await run(async (url) => {
          globalThis.bob = await roomcast.join(`${url}/rooms/abc`, { name: "whoever", token: sessionStorage.getItem("token") });
          return [bob.me.id, bob.me.name];
        }, far);
        assert.deepEqual(again, [2, "Bob"]);
      });

      await t.test("two tabs", async () => {
        await run((url) => {
          bob.on("closed", ({ code, message }) => (globalThis.over = [code, message]));
          const tab = document.createElement("iframe");
          tab.src = url;
          document.body.append(tab);
        }, `${browser.address}?page=second`);
        const second = browser.page("second");
        const joined = await second(async (url) => {
          globalThis.bob = await roomcast.join(`${url}/rooms/abc`, { name: "whoever", token: sessionStorage.getItem("token") });
          return bob.me.id;
        }, far);
        assert.equal(joined, 2);
        const [code, message] = await run(async () => {
          while (!globalThis.over) await new Promise((resolve) => setTimeout(resolve, 10));
          return over;
        });
        assert.equal(code, 4004);
        assert.match(message, /another tab/);
        assert.equal(await second(() => bob.send("still here") !== null), true);
      });
    });
  }
}
