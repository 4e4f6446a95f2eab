// What a page has to load, and that it does what the modules do.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

import WebSocket from "ws";

import { relay } from "./relay.js";

const BUNDLES = { roomcast: "index", "roomcast-host": "host", "roomcast-ticks": "align", "roomcast-find": "find", "roomcast-schema": "schema", "roomcast-carriers": "carriers" };
const pages = (name) => new URL(`../../server/src/shard/pages/${name}.js`, import.meta.url);

for (const [name, module] of Object.entries(BUNDLES)) {
  test(`the relay serves this bundle, and it exports what its module does: ${name}`, async () => {
    const [ours, served] = [new URL(`../dist/${name}.min.js`, import.meta.url), pages(name)].map((path) => readFileSync(path, "utf8"));
    assert.ok(ours === served, "not what these sources make: npm run bundle");
    assert.deepEqual(Object.keys(await import(pages(name))), Object.keys(await import(`../dist/${module}.js`)));
  });
}

test("the bundle is at most 10 KiB, gzipped", (t) => {
  const { length } = gzipSync(readFileSync(new URL("../dist/roomcast.min.js", import.meta.url)), { level: 9 });
  t.diagnostic(`${length} bytes`);
  assert.ok(length > 1_000 && length <= 10 * 1024, `${length} bytes`);
});

test("the bundles go together: what games name is called the same in all of them", { timeout: 60_000 }, async (t) => {
  const [{ Hosting }, { Ticks }, { quickMatch, listRooms }, { numbers }] = await Promise.all(["host", "ticks", "find", "schema"].map((name) => import(pages(`roomcast-${name}`))));
  const url = `ws://${await relay(t)}`;
  const Ship = numbers({ x: "i16" });
  const [ticks, hosting] = [new Ticks(), new Hosting({ save: () => "saved" })];
  const ada = await quickMatch(url, { tag: "duel", max: 2, name: "Ada", wishes: { ticks: 50 }, hosting, ticks, WebSocket });
  const bob = await quickMatch(url, { tag: "duel", max: 2, name: "Bob", WebSocket });
  t.after(() => Promise.all([ada.leave(), bob.leave()]));
  assert.deepEqual([ada.host === ada.me, bob.host.name, bob.settings.ticks, hosting.locked], [true, "Ada", 50, false]);
  ticks.tell = () => ada.state(0, Ship.encode({ x: -7 }));
  const { from, data } = await new Promise((resolve) => bob.on("state", resolve));
  assert.deepEqual([from.name, Ship.decode(data), Ship.bytes, Ship.list.decode(data)], ["Ada", { x: -7 }, 2, [{ x: -7 }]]);
  const heard = [];
  bob.on("message", ({ data, from, addressed, asHost }) => heard.push([typeof data === "string" ? data : [...data], from.name, addressed, asHost]));
  bob.groups.join(3);
  await bob.me.properties.set({ color: "rose" });
  ada.send("tö others");
  ada.send(Uint8Array.of(1, 2), { to: "all", asHost: true });
  for (const to of [[bob.me.id], bob.me.id, { group: 3 }]) ada.send("to some", { to });
  const back = new Promise((resolve) => ada.on("message", ({ data }) => data === "that was all" && resolve()));
  bob.on("message", ({ data }) => data === "end" && bob.send("that was all", { to: "host" }));
  ada.send("end");
  await back;
  const some = ["to some", "Ada", true, false];
  assert.deepEqual(heard, [["tö others", "Ada", false, false], [[1, 2], "Ada", false, true], some, some, some, ["end", "Ada", false, false]]);
  assert.equal(ada.players.get(2).properties.get("color"), "rose");
  assert.equal(typeof ada.snapshot("saved"), "number");
  assert.equal(typeof hosting.askTrips(), "number");
  const asked = [];
  t.mock.method(globalThis, "fetch", async (address) => (asked.push(new URL(address)), { ok: true, json: async () => ({ rooms: [], after: null }) }));
  await listRooms(url, { tag: "duel", open: true, after: "duel-1" });
  assert.equal(asked[0].search, "?tag=duel&open=1&after=duel-1");
});
