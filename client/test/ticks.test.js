// Sending just ahead of the ticks of a room: the moments by themselves, and in rooms of the real relay.

import assert from "node:assert/strict";
import { test } from "node:test";

import WebSocket from "ws";

import { Ticks } from "../dist/align.js";
import { Client } from "../dist/core.js";
import { join } from "../dist/index.js";
import * as down from "./down.js";
import { happens, network, relay } from "./relay.js";
import { packets } from "./vectors.js";

const limits = { timeout: 60_000 };
const S = 1_000_000;

/** A session in a room with so many ticks a second, in which nothing is said yet. */
function live(hz, { tell = null, ...options } = {}) {
  const ticks = Object.assign(new Ticks(), { tell });
  const client = new Client({ name: "Ada", ticks, ...options });
  client.opened(0);
  client.receive(down.bundle(0, down.welcome({ capabilities: 16 }), down.settings([12, hz]), down.ready()), 0);
  return { client, ticks };
}

/** What the client writes now, as hexadecimal packets. */
function written(client, now) {
  const messages = [];
  for (let message; (message = client.transmit(now)); ) messages.push(message);
  client.due();
  return messages.flatMap(packets).filter((packet) => !/^4[89ab]/.test(packet));
}
const sent = (client, now) => written(client, now).filter((packet) => !/^6/.test(packet));
const state = (payload, key = 0) => ({ packet: "STATE", key, payload, room: false });

/** Plays with a relay whose ticks are at `phase` and its multiples, `way` away. Answers how long before a tick the last state came. */
function play({ client, ticks }, length, phase, way, rounds) {
  const slack = (at) => {
    const after = (at + way + length - phase) % length;
    return after < length - after ? 2 * after + 1 : 2 * (length - after);
  };
  let now = 10 * S;
  let last;
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < 4; ) {
      client.set(state(`${now}`));
      if (sent(client, now).length > 0) {
        last = now;
        i++;
      }
      now = Math.max(now + 200, ticks.due(true));
    }
    client.receive(down.bundle(0, down.pongTicks(now, now + way, 0, slack(last))), now + 2 * way);
    now += 2 * way + 1;
  }
  const told = slack(last);
  return told % 2 ? (1 - told) / 2 : told / 2;
}

test("a moment is found a little ahead of the tick, wherever ticks are, and kept", () => {
  for (const [hz, aim] of [[20, 2_000], [1, 2_000], [128, 1_953]]) {
    for (const phase of [0, 1_000, 4_000, 7_000]) {
      const slack = play(live(hz), Math.floor(S / hz), phase, 700, 20);
      assert.ok(Math.abs(slack - aim) <= 1_000, `${hz} Hz, ${phase}: ${slack}`);
    }
  }
});

test("once in each tick the newest leaves, with what was sent; the room without ticks waits for nothing", () => {
  const { client, ticks } = live(20);
  client.set(state("a"));
  assert.deepEqual(sent(client, S), ["39020061"]);
  client.set(state("b"));
  client.send({ packet: "EVENT_OTHERS", payload: "!", droppable: false });
  client.set(state("c"));
  assert.deepEqual(sent(client, S + 49_999), []);
  assert.equal(ticks.due(true), S + 50_000);
  assert.deepEqual(sent(client, S + 50_000), ["090121", "39020063"]);
  // Too late by more than a tick: the moments stay where they were.
  client.set(state("d"));
  assert.deepEqual(sent(client, S + 60_000), []);
  assert.deepEqual(sent(client, S + 170_000), ["39020064"]);
  client.set(state("e"));
  assert.equal(ticks.due(true), S + 200_000);
  client.receive(down.bundle(0, down.settings()), S + 180_000);
  assert.deepEqual(sent(client, S + 180_000), ["39020065"]);
});

test("what was not there when a moment came waits for the next: who is always a little late is aligned too", () => {
  const { client, ticks } = live(20);
  client.set(state("a"));
  assert.equal(sent(client, S).length, 1);
  client.set(state("b"));
  assert.deepEqual(sent(client, S + 53_000), []);
  assert.equal(ticks.due(true), S + 100_000);
  assert.equal(sent(client, S + 100_000).length, 1);
});

test("a ping waits for no moment, asks for slack, and comes every 2.5 s; a relay without ticks is not asked", () => {
  const { client, ticks } = live(20);
  client.set(state("a"));
  written(client, 0);
  client.wake(200_000);
  assert.match(written(client, 200_001).find((packet) => packet.startsWith("6")), /^61/);
  for (const at of [0.4, 0.6, 0.8]) client.wake(at * S);
  written(client, S);
  assert.ok(client.due() <= 3.3 * S, `${client.due()}`);
  const plain = new Client({ name: "Ada", ticks: new Ticks() });
  plain.opened(0);
  plain.receive(down.bundle(0, down.welcome(), down.settings([12, 20]), down.ready()), 0);
  assert.match(written(plain, 0)[0], /^60/);
});

test("one that came late by chance does not count, nor what was sent before the moments moved", () => {
  const { client, ticks } = live(20);
  client.set(state("a"));
  assert.equal(sent(client, S).length, 1);
  const pong = (asked, ahead, now) => client.receive(down.bundle(0, down.pongTicks(asked, 0, 0, ahead < 0 ? 1 - 2 * ahead : 2 * ahead)), now);
  const due = () => ticks.due(true);
  pong(S, 20_000, S + 500);
  assert.equal(due(), S + 50_000, "it went with that");
  pong(S + 1, 20_000, S + 500);
  assert.equal(due(), S + 18_000);
  pong(S + 2, 20_000, S + 600);
  assert.equal(due(), S + 18_000, "nothing was sent since");
  // The first may be of what was sent before; of eight one counts for nothing.
  for (let i = 0, at = S + 18_000; i < 8; i++, at += 50_000) {
    client.set(state(`${i}`));
    assert.equal(sent(client, at).length, 1);
    pong(at + 1, [-20_000, 3_000, 3_000, 3_000, 3_000, 3_000, 3_000, -9_000][i], at + 2);
  }
  assert.equal(due(), S + 418_000);
});

test("the game is asked just ahead of each tick for what it has; its mistakes are its own", (t) => {
  const { mock } = t.mock.method(globalThis, "queueMicrotask", () => {});
  let n = 0;
  const { client, ticks } = live(20, {
    tell: () => {
      client.set(state(`${++n}`));
      if (n === 3) throw new Error("the game's");
    },
  });
  const told = [];
  for (let i = 0; i < 4; i++) {
    const now = Math.max(S, ticks.due(true));
    client.wake(now);
    told.push(...sent(client, now));
  }
  assert.deepEqual(told, ["39020031", "39020032", "39020033", "39020034"]);
  assert.equal(mock.callCount(), 1);
  // It may leave there, too.
  const leaves = live(20, { tell: () => leaves.client.leave(S) });
  assert.deepEqual(written(leaves.client, S), []);
});

test("who leaves waits for no tick", () => {
  const { client, ticks } = live(20);
  client.set(state("a"));
  sent(client, S);
  client.send({ packet: "EVENT_OTHERS", payload: "bye", droppable: false });
  assert.deepEqual(client.leave(S + 1).flatMap(packets).slice(-2), ["0903627965", "5000"]);
});

test("a hidden page sends at once, and moves no moment", (t) => {
  globalThis.document = { visibilityState: "hidden" };
  t.after(() => delete globalThis.document);
  const { client, ticks } = live(20);
  for (const at of [S, S + 1, S + 2]) {
    client.set(state(`${at}`));
    assert.equal(sent(client, at).length, 1);
  }
  document.visibilityState = "visible";
  client.set(state("seen"));
  assert.deepEqual(sent(client, S + 3_000), []);
  assert.equal(ticks.due(true), S + 50_000);
});

test("how old states were, and how many were left out, is known", () => {
  const { client, ticks } = live(20);
  client.receive(down.bundle(0, down.pongTicks(S, 5 * S, 7, 0)), S);
  client.receive(down.bundle(0, down.tick(4, 5 * S)), S + 3_000);
  assert.deepEqual(ticks.stats, { superseded: 7, age: 3 });
  client.receive(down.bundle(0, down.tick(5, 5 * S + 50_000), down.aged(120)), S + 54_000);
  assert.equal(ticks.stats.age, 124);
  client.opened(2 * S);
  assert.equal(ticks.stats.superseded, 0);
});

test("whatever a relay says of slack, nothing waits for longer than a tick", () => {
  let random = 1;
  const next = (below) => (random = (random * 48_271) % 2_147_483_647) % below;
  for (let round = 0; round < 200; round++) {
    const hz = 1 + next(128);
    const { client, ticks } = live(hz);
    let now = S;
    for (let i = 0; i < 30; i++) {
      now += next(3 * S);
      client.set(state(`${i}`));
      sent(client, now);
      client.receive(down.bundle(0, down.pongTicks(now - next(100), 0, 0, next(2 ** 30))), now);
      client.set(state("waits"));
      const due = ticks.due(true);
      assert.ok(due <= now + 1 + S / hz, `${due - now} at ${hz} Hz`);
      now = Math.max(now, due);
      assert.equal(sent(client, now).length, 1);
    }
  }
});

async function enter(t, address, name, options) {
  const room = await join(`ws://${address}/rooms/abc`, { name, WebSocket, ...options });
  t.after(() => room.leave());
  return room;
}

test("in a room with ticks the newest leaves with each; what is said arrives, also over a lost connection", limits, async (t) => {
  const address = await relay(t);
  const wire = await network(t, address);
  let told = 0;
  const ticks = new Ticks();
  const ada = await enter(t, wire.address, "Ada", { ticks, wishes: { ticks: 20 } });
  ticks.tell = () => ada.state(0, `${++told}`);
  const bob = await enter(t, address, "Bob", { ticks: new Ticks() });
  assert.equal(bob.settings.ticks, 20);
  const got = [];
  bob.on("state", ({ data }) => got.push(Number(data)));
  const seen = [];
  bob.on("message", ({ data }) => seen.push(data));
  const until = async (holds) => {
    while (!holds()) await happens(bob, "state");
  };
  await until(() => got.length >= 20);
  // Each is newer than the one before, and few are left out.
  assert.ok(got.every((n, i) => i === 0 || n > got[i - 1]), `${got}`);
  assert.ok(got.at(-1) - got[0] < 3 * got.length, `${got}`);
  for (let n = 0; n < 5; n++) ada.send(`${n}`);
  await until(() => seen.length === 5);
  const resumed = happens(ada, "resumed");
  wire.cut();
  for (let n = 5; n < 10; n++) ada.send(`${n}`);
  wire.restore();
  await resumed;
  await until(() => seen.length === 10);
  assert.deepEqual(seen, Array.from({ length: 10 }, (_, n) => `${n}`));
  const { age, superseded } = bob.stats();
  assert.ok(age >= 0 && age < 5_000 && superseded >= 0, `${age}`);
});
