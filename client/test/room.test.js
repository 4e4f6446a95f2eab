// Games in a room of the real relay, over networks that break.

import assert from "node:assert/strict";
import { test } from "node:test";

import WebSocket from "ws";

import { join, RoomError } from "../dist/index.js";
import { happens, network, operated, relay } from "./relay.js";

/** Joins; the player leaves with the test. */
async function enter(t, address, name, options) {
  const room = await join(`ws://${address}/rooms/abc`, { name, WebSocket, ...options });
  t.after(() => room.leave());
  return room;
}

const limits = { timeout: 60_000 };

/** All messages of a room, as they come. */
function log(room) {
  const got = [];
  room.on("message", ({ data, from }) => got.push(`${from.name}: ${data}`));
  return got;
}

/** Says `text` to `to` and waits until it is there: everything said before it is then, too. */
async function upTo(from, to, text = "mark") {
  const there = new Promise((resolve) => to.on("message", ({ data }) => data === text && resolve()));
  from.send(text, { to: to.me.id });
  await there;
}

test("everyone sees who is there, and hears what is for them", limits, async (t) => {
  const address = await relay(t);
  const ada = await enter(t, address, "Ada", { properties: { color: "rose" }, wishes: { players: 8, grace: 5_000 } });
  assert.deepEqual([...ada.players.keys()], [1]);
  assert.equal(ada.settings.players, 8);
  const joined = happens(ada, "joined");
  const bob = await enter(t, address, "Bob");
  assert.equal((await joined).name, "Bob");
  const cy = await enter(t, address, "Cy");
  assert.deepEqual([...cy.players.values()].map(({ id, name, away }) => [id, name, away]), [[1, "Ada", false], [2, "Bob", false], [3, "Cy", false]]);
  assert.equal(bob.players.get(1).properties.get("color"), "rose");
  assert.equal(cy.me.id, 3);

  const got = [ada, bob, cy].map(log);
  ada.send("to others");
  ada.send("to all", { to: "all" });
  ada.send("to Bob", { to: bob.me });
  ada.send("to Cy and Ada", { to: [3, ada.me, 3] });
  await Promise.all([upTo(ada, ada, "end"), upTo(ada, bob, "end"), upTo(ada, cy, "end")]);
  assert.deepEqual(got, [
    ["Ada: to all", "Ada: to Cy and Ada", "Ada: end"],
    ["Ada: to others", "Ada: to all", "Ada: to Bob", "Ada: end"],
    ["Ada: to others", "Ada: to all", "Ada: to Cy and Ada", "Ada: end"],
  ]);

  const message = happens(bob, "message");
  ada.send(new Uint16Array([1, 513]).subarray(1), { to: bob.me });
  const { data, from, addressed } = await message;
  assert.deepEqual([[...data], from, addressed], [[1, 2], bob.players.get(1), true]);

  const left = happens(ada, "left");
  await cy.leave();
  const [player, reason] = await left;
  assert.deepEqual([player.name, reason, ada.players.size], ["Cy", "left", 2]);
  const { roundTrip, bytesIn, bytesOut } = ada.stats();
  assert.ok(roundTrip > 0 && roundTrip < 10_000 && bytesIn > 0 && bytesOut > 0);
  assert.ok(Math.abs(ada.time() - bob.time()) < 1_000);
});

test("of two who write a property at once one is refused, and knows", limits, async (t) => {
  const address = await relay(t);
  const ada = await enter(t, address, "Ada");
  const bob = await enter(t, address, "Bob");
  const writes = [ada, bob].map((room) => room.properties.set({ map: room.me.name }, { expected: { map: 0 } }));
  const results = await Promise.allSettled(writes);
  assert.deepEqual(results.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
  assert.match(results.find(({ reason }) => reason).reason.message, /somebody else was faster/);
  const changed = happens(bob, "properties");
  await ada.properties.set({ map: "marsh" }, { expected: { map: ada.properties.version("map") } });
  await ada.me.properties.set({ color: new Uint8Array([1, 2]) });
  const { owner, author, keys } = await changed;
  assert.deepEqual([owner, author?.name, keys], [null, "Ada", ["map"]]);
  await upTo(ada, bob);
  assert.equal(bob.properties.get("map"), "marsh");
  assert.deepEqual([...bob.players.get(1).properties], [["color", new Uint8Array([1, 2])]]);
  await ada.properties.set({ map: null });
  assert.equal(ada.properties.version("map"), 0);
});

test("a packet for who is gone is refused, by the number that send gave", limits, async (t) => {
  const address = await relay(t);
  const ada = await enter(t, address, "Ada");
  const refused = happens(ada, "refused");
  const number = ada.send("anybody there?", { to: 77 });
  assert.deepEqual((({ number, reason }) => [number, reason])(await refused), [number, "gone"]);
});

test("a bad network on request, where the relay offers that", limits, async (t) => {
  const strict = await enter(t, await relay(t), "Ada");
  const refused = happens(strict, "refused");
  const number = strict.impair({ delay: 100 });
  assert.deepEqual((({ number, reason }) => [number, reason])(await refused), [number, "not offered"]);

  const address = await relay(t, "--allow-impairment");
  const [ada, bob] = [await enter(t, address, "Ada"), await enter(t, address, "Bob")];
  ada.impair({ delay: 150 });
  // From here on: Bob hears it at once, and what he says then is late.
  await upTo(ada, bob);
  const said = performance.now();
  await upTo(bob, ada);
  assert.ok(performance.now() - said >= 145);
  const away = happens(bob, "away");
  const resumed = happens(ada, "resumed");
  ada.impair({ cut: 1 });
  assert.equal((await away).name, "Ada");
  await resumed;
  await upTo(bob, ada, "as before");
});

test("cut off in mid-game both ways, nothing is lost, doubled or out of order", limits, async (t) => {
  const address = await relay(t);
  const wire = await network(t, address);
  const ada = await enter(t, wire.address, "Ada");
  const bob = await enter(t, address, "Bob");
  const got = [ada, bob].map(log);
  let said = 0;
  const say = () => {
    said++;
    assert.notEqual(ada.send(`${said}`), null);
    assert.notEqual(bob.send(`${said}`), null);
  };
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 20; i++) say();
    await upTo(bob, bob, `before ${round}`);
    const away = happens(bob, "away");
    const resumed = happens(ada, "resumed");
    wire.cut();
    for (let i = 0; i < 20; i++) say();
    assert.equal((await away).name, "Ada");
    const back = happens(bob, "back");
    wire.restore();
    for (let i = 0; i < 20; i++) say();
    await Promise.all([resumed, back]);
  }
  await Promise.all([upTo(ada, bob, "end"), upTo(bob, ada, "end")]);
  const all = Array.from({ length: said }, (_, i) => `${i + 1}`);
  const from = (messages, name) => messages.filter((text) => text.startsWith(name)).map((text) => text.slice(5)).filter(Number);
  assert.deepEqual(from(got[0], "Bob"), all);
  assert.deepEqual(from(got[1], "Ada"), all);
  assert.equal(ada.stats().resumes, 3);
});

test("a connection that is dead but not closed is found and replaced", limits, async (t) => {
  const address = await relay(t);
  const wire = await network(t, address);
  const ada = await enter(t, wire.address, "Ada");
  const bob = await enter(t, address, "Bob");
  const lost = happens(ada, "lost");
  const resumed = happens(ada, "resumed");
  wire.silence();
  ada.send("is anybody there?");
  const message = happens(bob, "message");
  assert.match((await lost).message, /nothing was heard for 6 s/);
  await resumed;
  assert.equal((await message).data, "is anybody there?");
});

for (const way of ["up", "down"]) {
  test(`half of a connection is lost, what goes ${way}: that is found, and nothing is missed`, limits, async (t) => {
    const address = await relay(t);
    const wire = await network(t, address);
    const ada = await enter(t, wire.address, "Ada");
    const bob = await enter(t, address, "Bob");
    const got = [ada, bob].map(log);
    const resumed = happens(ada, "resumed");
    wire.half(way);
    for (const room of [ada, bob]) for (let n = 0; n < 5; n++) room.send(`${n}`);
    await resumed;
    await Promise.all([upTo(ada, bob, "end"), upTo(bob, ada, "end")]);
    const numbers = (name) => [..."01234", "end"].map((text) => `${name}: ${text}`);
    assert.deepEqual(got, [numbers("Bob"), numbers("Ada")]);
  });
}

test("after another life of the room the game goes on, and knows", limits, async (t) => {
  const address = await relay(t);
  const wire = await network(t, address);
  const ada = await enter(t, wire.address, "Ada");
  const reset = happens(ada, "reset");
  wire.move(await relay(t));
  const { reason } = await reset;
  assert.equal(reason, "token");
  assert.deepEqual([...ada.players.values()].map(({ name }) => name), ["Ada"]);
  await ada.properties.set({ map: "new" });
});

test("a page that was loaded again goes on as the player that it was; the old one stops", limits, async (t) => {
  const address = await relay(t);
  const ada = await enter(t, address, "Ada");
  await enter(t, address, "Bob");
  const closed = happens(ada, "closed");
  const again = await enter(t, address, "whoever", { token: ada.token });
  assert.deepEqual([again.me.id, again.me.name, again.players.size], [1, "Ada", 2]);
  assert.match((await closed).message, /goes on over another connection: another tab/);
  assert.equal(ada.send("late"), null);
  await again[Symbol.asyncDispose]();
});

test("errors say what happened and what to do", limits, async (t) => {
  const address = await relay(t);
  const ada = await enter(t, address, "Ada", { wishes: { players: 1 } });
  const says = (promise, words) =>
    assert.rejects(promise, (error) => {
      assert.ok(error instanceof RoomError || error instanceof RangeError, `${error}`);
      assert.match(error.message, words);
      return true;
    });
  const room = (path, options) => join(`ws://${address}${path}`, { name: "Bob", WebSocket, ...options });
  await says(room("/rooms/abc"), /the room is full \(1 of 1\): join another/);
  await says(room("/rooms/none", { mode: "join" }), /there is no such room: join without/);
  await says(room("/rooms/abc", { mode: "make" }), /the room exists: join without/);
  await says(room("/rooms/a%20b"), /is no room's address/);
  await says(room("/rooms/"), /is no room's address/);
  await says(join("abc", { name: "Bob", WebSocket }), /is no room's address: wss:/);
  await says(join(`http://${address}/rooms/abc`, { name: "Bob", WebSocket }), /is no room's address/);
  await says(room("/rooms/abc", { name: "" }), /1 to 64 bytes/);
  await says(room("/rooms/abc", { token: "x" }), /a token is what/);
  const nobody = await network(t, address);
  nobody.cut();
  await says(join(`ws://${nobody.address}/rooms/abc`, { name: "Bob", WebSocket, timeout: 300 }), /could not join within 0.3 s: .*is the relay up at ws:/);
  assert.throws(() => ada.send("x".repeat(70_000)), /bytes in a packet: 0 to 65536/);
  assert.throws(() => ada.send("x", { to: [] }), /0 players: 1 to 256/);
});

test("what the operator says is heard by all, each time once, also by who was gone meanwhile", limits, async (t) => {
  const { address, admin } = await operated(t);
  const wire = await network(t, address);
  const ada = await enter(t, address, "Ada");
  const bob = await enter(t, wire.address, "Bob");
  const heard = [[], []];
  [ada, bob].forEach((room, i) => room.on("notice", (words) => heard[i].push(words)));
  admin("say", "abc", "restart at noon: güle güle");
  const away = happens(ada, "away");
  wire.cut();
  await away;
  admin("notice", "now");
  wire.restore();
  await happens(bob, "resumed");
  await upTo(ada, bob);
  await upTo(bob, ada);
  const words = ["restart at noon: güle güle", "now"];
  assert.deepEqual(heard, [words, words]);
});
