// States and groups: in rooms of the real relay, and what no relay shows of them, in the core alone.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setInterval } from "node:timers/promises";

import WebSocket from "ws";

import { Client } from "../dist/core.js";
import { join } from "../dist/index.js";
import * as down from "./down.js";
import { happens, network, relay } from "./relay.js";
import { packets } from "./vectors.js";

const limits = { timeout: 60_000 };

async function enter(t, address, name, options) {
  const room = await join(`ws://${address}/rooms/abc`, { name, WebSocket, ...options });
  t.after(() => room.leave());
  return room;
}

/** All changes of states that a room tells, as they come. */
function log(room) {
  const got = [];
  room.on("state", ({ from, key, data }) => got.push([from?.name ?? null, key, typeof data === "string" ? data : data && [...data]]));
  return got;
}

/** The next message: what was said before it, also of states, is there then. */
async function mark(from, to) {
  const there = happens(to, "message");
  from.send("mark", { to: to.me.id });
  await there;
}

test("a value is told to the others, to who comes later, and is gone when it is deleted", limits, async (t) => {
  const address = await relay(t);
  const ada = await enter(t, address, "Ada");
  const bob = await enter(t, address, "Bob");
  const got = log(bob);
  assert.equal(ada.state(0, new Float32Array([1])), true);
  ada.state(1, "on");
  ada.state(7, "the room's", { room: true });
  await mark(ada, bob);
  assert.deepEqual(got.splice(0), [["Ada", 0, [0, 0, 128, 63]], ["Ada", 1, "on"], [null, 7, "the room's"]]);
  const cy = await enter(t, address, "Cy");
  assert.deepEqual([...cy.players.get(1).states], [[0, new Uint8Array([0, 0, 128, 63])], [1, "on"]]);
  assert.deepEqual([...cy.states], [[7, "the room's"]]);
  // One's own are told only if all get them.
  assert.deepEqual([ada.me.states.size, ada.states.get(7)], [0, "the room's"]);
  ada.state(1, null);
  ada.state(7, null, { room: true });
  await mark(ada, bob);
  assert.deepEqual(got, [["Ada", 1, null], [null, 7, null]]);
  assert.deepEqual([[...bob.players.get(1).states.keys()], bob.states.size], [[0], 0]);
});

test("of what is said in one turn only the newest is sent, behind the events that were sent before it", limits, async (t) => {
  const address = await relay(t);
  const ada = await enter(t, address, "Ada");
  const bob = await enter(t, address, "Bob");
  const got = [];
  bob.on("state", ({ data }) => got.push(data));
  bob.on("message", ({ data }) => got.push(data));
  const end = happens(bob, "message");
  for (let i = 0; i < 100; i++) ada.state(0, `${i}`);
  ada.send("then");
  await end;
  await mark(ada, bob);
  assert.deepEqual(got, ["then", "99", "mark"]);
});

test("after a lost connection everybody has the newest, of what changed meanwhile too", limits, async (t) => {
  const address = await relay(t);
  const wire = await network(t, address);
  const ada = await enter(t, wire.address, "Ada");
  const bob = await enter(t, address, "Bob");
  bob.state(0, "before");
  bob.state(1, "goes");
  ada.state(0, "a");
  await Promise.all([mark(ada, bob), mark(bob, ada)]);
  const resumed = happens(ada, "resumed");
  wire.cut();
  await happens(bob, "away");
  ada.state(0, "b");
  ada.state(0, "c");
  bob.state(0, "after");
  bob.state(1, null);
  wire.restore();
  await resumed;
  await Promise.all([mark(ada, bob), mark(bob, ada)]);
  assert.deepEqual([...ada.players.get(2).states], [[0, "after"]]);
  assert.equal(bob.players.get(1).states.get(0), "c");
});

test("in another life of the room what this player has set is set again, for whom it was, and its groups are joined", limits, async (t) => {
  const address = await relay(t);
  const wire = await network(t, address);
  const ada = await enter(t, wire.address, "Ada");
  ada.groups.join(5);
  ada.state(0, "all see that");
  ada.state(1, "group 9 sees that");
  ada.audience(1, { group: 9 });
  await mark(ada, ada);
  const reset = happens(ada, "reset");
  const other = await relay(t);
  const bob = await enter(t, other, "Bob");
  const got = log(bob);
  bob.state(3, "group 5 sees that");
  bob.audience(3, { group: 5 });
  wire.move(other);
  await reset;
  await mark(ada, bob);
  await mark(bob, ada);
  assert.deepEqual(got, [["Ada", 0, "all see that"]]);
  assert.deepEqual([...ada.players.get(1).states], [[3, "group 5 sees that"]]);
  const seen = happens(bob, "state");
  bob.groups.join(9);
  assert.deepEqual((({ key, data }) => [key, data])(await seen), [1, "group 9 sees that"]);
});

test("groups: events and keys for those who are in", limits, async (t) => {
  const address = await relay(t, "--groups", "3");
  const [ada, bob, cy] = [await enter(t, address, "Ada"), await enter(t, address, "Bob"), await enter(t, address, "Cy")];
  ada.audience(4, { group: 2 });
  ada.state(4, "for two");
  bob.groups.join(2, 1);
  assert.deepEqual([bob.groups.has(2), bob.groups.has(3)], [true, false]);
  await mark(bob, ada);
  const heard = [];
  for (const room of [bob, cy]) room.on("message", ({ data, addressed }) => heard.push([room.me.name, data, addressed]));
  ada.send("to two", { to: { group: 2 } });
  await Promise.all([mark(ada, bob), mark(ada, cy)]);
  assert.deepEqual(heard.filter(([, data]) => data !== "mark"), [["Bob", "to two", true]]);
  assert.deepEqual([bob.players.get(1).states.get(4), cy.players.get(1).states.size], ["for two", 0]);
  const gone = happens(bob, "state");
  bob.groups.leave(2);
  assert.deepEqual((({ key, data }) => [key, data])(await gone), [4, null]);
  assert.throws(() => bob.groups.join(3, 4, 5), /4 groups: 0 to 3/);
  assert.equal(bob.groups.has(3), false);
});

test("a key that stays when its author leaves; a value that the relay does not take", limits, async (t) => {
  const address = await relay(t, "--state-keys", "2");
  const [ada, bob] = [await enter(t, address, "Ada"), await enter(t, address, "Bob")];
  ada.audience(0, "all", { stays: true });
  const own = happens(ada, "state");
  ada.state(0, "flag");
  assert.equal((await own).from, ada.me);
  const refused = happens(ada, "refused");
  ada.state(1, "one more");
  ada.state(2, "too many");
  assert.deepEqual((({ number, key, reason }) => [number, key, reason])(await refused), [null, 2, "limit"]);
  await mark(ada, bob);
  const stays = happens(bob, "state");
  await ada.leave();
  const { from, data } = await stays;
  assert.deepEqual([from, data, bob.states.get(0)], [null, "flag", "flag"]);
});

test("1,000 states a second: the pace of the relay is kept, the newest arrive, and nothing piles up", limits, async (t) => {
  const address = await relay(t);
  const [ada, bob] = [await enter(t, address, "Ada"), await enter(t, address, "Bob")];
  let came = 0;
  bob.on("state", () => came++);
  const ended = [];
  for (const room of [ada, bob]) for (const event of ["closed", "refused", "reset"]) room.on(event, () => ended.push(event));
  let n = 0;
  for await (const _ of setInterval(10)) {
    for (let i = 0; i < 10; i++) assert.ok(ada.state(n % 8, `${++n}`));
    assert.ok(ada.stats().buffered < 1_000);
    if (n >= 2_000) break;
  }
  const newest = () => [...bob.players.get(1).states.values()].map(Number).sort((a, b) => a - b);
  while (newest().at(-1) < 2_000 || newest()[0] < 1_993) await happens(bob, "state");
  assert.deepEqual(newest(), [1_993, 1_994, 1_995, 1_996, 1_997, 1_998, 1_999, 2_000]);
  assert.ok(came < 2_000, `${came} of 2,000: those between were left out`);
  assert.deepEqual(ended, []);
});

const S = 1_000_000;

function live({ welcome, ...options } = {}) {
  const client = new Client({ name: "Ada", ...options });
  client.opened(0);
  client.receive(down.bundle(0, down.welcome(welcome), down.ready()), 0);
  written(client, 0);
  return client;
}

/** What the client writes now, but JOIN and pings, as hexadecimal packets. */
function written(client, now) {
  const messages = [];
  for (let message; (message = client.transmit(now)); ) messages.push(message);
  return messages.flatMap(packets).filter((packet) => !/^(60|4[89ab])/.test(packet));
}

const state = (key, payload, room = false) => ({ packet: "STATE", key, payload, room });

test("as the pace allows the newest of each key, whose turn it is first", () => {
  const client = live({ welcome: { limits: [[4, 1], [6, 3]] } });
  for (const key of [1, 2, 3]) client.set(state(key, "a"));
  client.set(state(1, "b"));
  assert.deepEqual(written(client, 0), ["39020162"]);
  client.set(state(1, "c"));
  assert.deepEqual(written(client, S), ["39020261"]);
  client.set(state(3, "d"));
  assert.deepEqual(written(client, 2 * S), ["39020364"]);
  assert.deepEqual(written(client, 3 * S), ["39020163"]);
});

test("a state waits for an event that was sent before it, also if that does not fit into the message", () => {
  const client = live({ welcome: { limits: [[2, 20]] } });
  for (const payload of ["0123456789a", "0123456789b"]) client.send({ packet: "EVENT_OTHERS", payload, droppable: false });
  client.set(state(1, "x"));
  assert.deepEqual(written(client, 0).map((packet) => packet.slice(0, 2)), ["09", "09", "39"]);
});

test("says when the pace allows more states", () => {
  const client = live({ welcome: { limits: [[4, 10], [6, 5]] } });
  for (let at = 0; at <= S; at += S / 5) {
    client.wake(at);
    client.transmit(at);
  }
  for (let key = 0; key < 9; key++) client.set(state(key, "a"));
  assert.ok(written(client, S).length < 9);
  assert.ok(client.due() <= 1.1 * S, `${client.due()}`);
});

test("what may be lost is sent again, but not the room's, nor what a pong says has arrived", () => {
  const client = live();
  client.set(state(1, "a"));
  written(client, S);
  client.receive(down.bundle(0, down.pong(2 * S, 0)), 2 * S);
  client.set(state(2, "b"));
  client.set(state(3, "c", true));
  client.set({ packet: "DELETE", key: 4, room: false });
  assert.equal(written(client, 3 * S).length, 3);
  client.closed(1006);
  client.set(state(5, "e", true));
  client.opened(4 * S);
  written(client, 4 * S);
  client.receive(down.bundle(0, down.resumed(0)), 4 * S);
  assert.deepEqual(written(client, 4 * S), ["3b020565", "39020262", "400104"]);
});

test("what is kept is bounded", () => {
  const client = live({ bufferMax: 2 * (64 + 4) });
  assert.deepEqual([1, 2, 3, 2].map((key) => client.set(state(key, "x"))), ["kept", "kept", "full", "kept"]);
  assert.throws(() => client.set(state(2 ** 32, "x")), RangeError);
  client.leave(0);
  assert.equal(client.set(state(1, "x")), "ended");
});

test("who gets a key is said behind its newest value, once, and before it to another relay", () => {
  const client = live();
  client.set(state(1, "a"));
  client.send({ packet: "AUDIENCE", key: 1, flags: 2, group: 9 });
  client.set(state(1, "b"));
  const audience = "7003010209";
  assert.deepEqual(written(client, 0), ["39020161", audience, "39020162"]);
  client.closed(1012);
  client.opened(S);
  written(client, S);
  client.receive(down.bundle(0, down.reset(3), down.welcome({ life: down.TOKEN.slice(8) }), down.ready()), S);
  assert.deepEqual(written(client, S), [audience, "39020162"]);
});
