// Hosts, snapshots and finding rooms: in rooms of the real relay.

import assert from "node:assert/strict";
import { test } from "node:test";

import WebSocket from "ws";

import { listRooms, quickMatch } from "../dist/find.js";
import { Hosting } from "../dist/host.js";
import { join, RoomError } from "../dist/index.js";
import { happens, network, relay } from "./relay.js";

const limits = { timeout: 60_000 };

async function enter(t, address, name, options) {
  const room = await join(`ws://${address}/rooms/abc`, { name, WebSocket, ...options });
  t.after(() => room.leave());
  return room;
}

/** Somebody who may be the host, and what was restored. */
async function willing(t, address, name, options) {
  const restored = [];
  const hosting = new Hosting({ restore: (saved) => restored.push(saved) });
  const room = await enter(t, address, name, { hosting, ...options });
  return { room, hosting, restored };
}

test("the first who is willing is the host; who only plays sees who it is, and never is it", limits, async (t) => {
  const address = await relay(t);
  const cy = await enter(t, address, "Cy");
  assert.deepEqual([cy.host, cy.term], [null, 0]);
  const told = happens(cy, "host");
  const ada = await willing(t, address, "Ada");
  assert.equal((await told).name, "Ada");
  assert.deepEqual([cy.host.name, cy.term, ada.room.host === ada.room.me], ["Ada", 1, true]);
  const bob = await willing(t, address, "Bob");
  assert.deepEqual([bob.room.host.name, bob.room.term], ["Ada", 1]);
  // To the host, and as the host.
  const claim = happens(ada.room, "message");
  cy.send("did I hit?", { to: "host" });
  assert.deepEqual([(await claim).data, (await claim).asHost, (await claim).addressed], ["did I hit?", false, true]);
  const verdict = happens(cy, "message");
  ada.room.send("you did", { asHost: true });
  assert.deepEqual([(await verdict).data, (await verdict).asHost], ["you did", true]);
  const refused = happens(bob.room, "refused");
  bob.room.send("I say so", { asHost: true });
  assert.equal((await refused).reason, "not host");
  // Hands over, and has nothing to say any more.
  const over = happens(ada.room, "host");
  ada.hosting.handOver(bob.room.me.id);
  assert.equal((await over).name, "Bob");
  assert.equal(ada.room.term, 2);
});

test("a host that is gone has a successor, who is given its snapshot and all that was said since", limits, async (t) => {
  const address = await relay(t, "--host-grace", "0");
  const wire = await network(t, address);
  const ada = await willing(t, wire.address, "Ada");
  const bob = await willing(t, address, "Bob");
  const cy = await enter(t, address, "Cy");
  // What a host says it does when it hears it too: so it knows how far it was told.
  const heard = happens(ada.room, "message");
  ada.room.send("before", { to: "all" });
  await heard;
  assert.equal(typeof ada.hosting.snapshot("chess: e4"), "number");
  cy.send("e5", { to: "host" });
  await happens(ada.room, "message");
  bob.room.send("good move");
  await happens(cy, "message");
  const next = happens(bob.room, "host");
  wire.cut();
  assert.equal((await next).name, "Bob");
  const [saved] = await until(() => bob.restored.length > 0 && bob.restored, bob.room);
  assert.equal(new TextDecoder().decode(saved.data), "chess: e4");
  assert.deepEqual(saved.since.map(({ data, from }) => [data, from.name]), [["e5", "Cy"], ["good move", "Bob"]]);
  assert.equal(saved.cut, false);
  // The game goes on, and who comes late and may be host has all of it before it has joined.
  bob.room.send("Nf3", { asHost: true });
  await happens(cy, "message");
  const di = await willing(t, address, "Di");
  assert.deepEqual(di.restored[0].since.map(({ data, asHost }) => [data, asHost]), [["e5", false], ["good move", false], ["Nf3", true]]);
});

/** Once this holds; asked whenever something happens to the room. */
async function until(holds, room) {
  for (let held; ; ) {
    if ((held = holds())) return held;
    // Nothing may happen any more but the heartbeat, and it holds by then or never.
    room.send("?", { to: room.me });
    await happens(room, "message");
  }
}

test("a host puts out, locks and closes", limits, async (t) => {
  const address = await relay(t);
  const ada = await willing(t, address, "Ada");
  const bob = await willing(t, address, "Bob");
  ada.hosting.lock();
  await until(() => bob.hosting.locked, ada.room);
  await assert.rejects(enter(t, address, "Cy"), (error) => error instanceof RoomError && error.code === 4007);
  ada.hosting.lock(false);
  await until(() => !bob.hosting.locked, ada.room);
  const out = happens(bob.room, "closed");
  ada.hosting.kick(bob.room.me.id);
  assert.equal((await out).code, 4001);
  const cy = await enter(t, address, "Cy");
  const closed = happens(cy, "closed");
  ada.hosting.close();
  assert.equal((await closed).code, 4003);
});

test("a host is told how far everybody is; who is none is refused", limits, async (t) => {
  const address = await relay(t);
  let told;
  const hosting = new Hosting({ trips: (trips) => told?.(trips) });
  const ada = await enter(t, address, "Ada", { hosting });
  const bob = await enter(t, address, "Bob");
  const ask = () =>
    new Promise((resolve) => {
      told = resolve;
      assert.equal(typeof hosting.askTrips(), "number");
    });
  let trips;
  // Bob says it with his next ping.
  do trips = await ask();
  while (!(trips.get(ada.players.get(2)) > 0));
  assert.ok(trips.get(ada.players.get(2)) < 10_000);
  assert.deepEqual([...trips.keys()].filter((player) => !ada.players.has(player.id)), []);
  const cy = await willing(t, address, "Cy");
  const refused = happens(cy.room, "refused");
  cy.hosting.askTrips();
  assert.equal((await refused).reason, "not host");
  assert.equal(bob.snapshot("mine"), null);
  assert.equal(typeof ada.snapshot("ours"), "number");
});

test("what a game throws when it saves or restores is its own", limits, async (t) => {
  const { mock } = t.mock.method(globalThis, "queueMicrotask");
  const address = await relay(t);
  const hosting = new Hosting({
    restore: () => {
      throw new Error("the game's");
    },
  });
  const ada = await willing(t, address, "Ada");
  const heard = happens(ada.room, "message");
  ada.room.send("x", { to: "all" });
  await heard;
  ada.room.snapshot("all of it");
  mock.mockImplementation((task) => Promise.resolve().then(task).catch(() => {}));
  const bob = await enter(t, address, "Bob", { hosting });
  assert.equal(bob.players.size, 2);
});

test("strangers who want to play the same meet; who looks for rooms is told of them", limits, async (t) => {
  const address = await relay(t, "--reactors", "2");
  const url = `ws://${address}`;
  const players = await Promise.all(Array.from({ length: 6 }, (_, i) => quickMatch(url, { tag: "düel", max: 2, name: `P${i}`, WebSocket })));
  t.after(() => Promise.all(players.map((player) => player.leave())));
  await Promise.all(players.map(async (player) => player.players.size === 2 || happens(player, "joined")));
  assert.deepEqual(players.map(({ players }) => players.size), [2, 2, 2, 2, 2, 2]);
  assert.deepEqual([players[0].settings.tag, players[0].settings.players], ["düel", 2]);
  let found;
  do found = await listRooms(url, { tag: "düel" });
  while (found.rooms.reduce((sum, { players }) => sum + players, 0) < 6);
  assert.deepEqual([found.rooms.length, found.rooms.some(({ open }) => open), found.after], [3, false, null]);
  assert.deepEqual((await listRooms(url, { tag: "düel", open: true })).rooms, []);
  await assert.rejects(listRooms(url, { tag: "" }), (error) => error instanceof RoomError && /tag=NAME/.test(error.message));
  await assert.rejects(quickMatch("ws://127.0.0.1:1", { tag: "x", max: 2, name: "A", WebSocket }), /is the relay up/);
});
