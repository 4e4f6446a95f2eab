// Players whom no WebSocket reaches, in rooms of the real relay, beside those who have one.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";

import WebSocket from "ws";

import { carriers } from "../dist/carriers.js";
import { join } from "../dist/index.js";
import { happens, proxy, relay } from "./relay.js";

const limits = { timeout: 60_000 };

/** Joins with whatever gets through; `by` is what did, each time. */
async function enter(t, address, name, { use, ...options } = {}) {
  const by = [];
  const room = await join(`ws://${address}/rooms/abc`, { name, WebSocket: carriers({ WebSocket, use, told: (carrier) => by.push(carrier) }), ...options });
  t.after(() => room.leave());
  return { room, by };
}

/** Both say so many numbers, until each has heard all of the other's, once and in order. */
async function talk(rooms, count) {
  const heard = rooms.map((room) => {
    const numbers = [];
    return new Promise((resolve) => {
      const off = room.on("message", ({ data }) => {
        if (numbers.push(data) < count) return;
        off();
        resolve(numbers);
      });
    });
  });
  for (let n = 0; n < count; n++) {
    for (const room of rooms) room.send(`${n}`);
    if (n % 10 === 9) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const numbers = Array.from({ length: count }, (_, n) => `${n}`);
  assert.deepEqual(await Promise.all(heard), rooms.map(() => numbers));
}

for (const how of ["refuse", "hang", "mute"]) {
  test(`where WebSockets ${how}, the game goes by polls, and the next one does at once`, limits, async (t) => {
    const address = await relay(t);
    const wire = await proxy(t, address, how);
    const { room: ada, by: direct } = await enter(t, address, "Ada");
    const { room: bob, by } = await enter(t, wire.address, "Bob");
    assert.deepEqual([direct, by], [["ws"], ["poll"]]);
    await talk([ada, bob], 100);
    const bytes = crypto.getRandomValues(new Uint8Array(40_000));
    const [up, down] = [happens(ada, "message"), happens(bob, "message")];
    ada.send(bytes);
    bob.send(bytes);
    for (const { data } of await Promise.all([up, down])) assert.ok(Buffer.from(data).equals(bytes));
    const { upgrades } = wire;
    const { by: again } = await enter(t, wire.address, "Cy");
    assert.deepEqual([again, wire.upgrades], [["poll"], upgrades]);
    const left = happens(ada, "left");
    await bob.leave();
    assert.deepEqual([(await left)[0].name, (await left)[1]], ["Bob", "left"]);
  });
}

test("a WebSocket that opens and a code that it is closed with are not the carrier's fault", limits, async (t) => {
  const address = await relay(t);
  const { by } = await enter(t, address, "Ada", { wishes: { players: 1 } });
  await assert.rejects(enter(t, address, "Bob"), /the room is full \(1 of 1\)/);
  await assert.rejects(enter(t, address, "Bob", { use: ["poll"] }), /the room is full \(1 of 1\)/);
  assert.deepEqual(by, ["ws"]);
});

test("once WebSockets get through it goes back to one, and nothing is lost by that", limits, async (t) => {
  const address = await relay(t);
  const wire = await proxy(t, address);
  const { room: ada } = await enter(t, address, "Ada");
  const { room: bob, by } = await enter(t, wire.address, "Bob");
  assert.deepEqual(by, ["poll"]);
  wire.how = "pass";
  const resumed = happens(bob, "resumed");
  let n = 0;
  const heard = [];
  bob.on("message", ({ data }) => heard.push(Number(data)));
  const timer = setInterval(() => ada.send(`${n++}`), 20);
  t.after(() => clearInterval(timer));
  await resumed;
  clearInterval(timer);
  assert.deepEqual(by, ["poll", "ws"]);
  const last = happens(bob, "state");
  ada.state(0, "end");
  await last;
  assert.deepEqual(heard, Array.from({ length: n }, (_, i) => i));
  const { requests } = wire;
  await talk([ada, bob], 20);
  assert.equal(wire.requests, requests);
});

test("requests that are lost, cut or repeated lose and double nothing; and what is over for long is joined again", limits, async (t) => {
  const address = await relay(t);
  const wire = await proxy(t, address);
  const { room: ada } = await enter(t, address, "Ada");
  const { room: bob, by } = await enter(t, wire.address, "Bob", { use: ["poll"] });
  const news = [];
  for (const event of ["lost", "resumed", "reset", "closed"]) bob.on(event, () => news.push(event));
  for (let i = 0; i < 5; i++) {
    const talking = talk([ada, bob], 50);
    wire.become("down");
    await new Promise((resolve) => setTimeout(resolve, 300));
    wire.become("refuse");
    await talking;
  }
  assert.deepEqual([news, by], [[], ["poll"]]);
  const lost = happens(bob, "lost");
  wire.become("down");
  await lost;
  const talking = talk([ada, bob], 50);
  wire.become("refuse");
  await talking;
  assert.deepEqual([news, by], [["lost", "resumed"], ["poll", "poll"]]);
});

test("where neither gets through, joining is given up and says why; nothing more is asked then", limits, async (t) => {
  const wire = await proxy(t, await relay(t), "down");
  await assert.rejects(enter(t, wire.address, "Ada", { timeout: 1_500 }), /could not join within 1.5 s: no session: is the relay up/);
  const { mock } = t.mock.method(globalThis, "fetch");
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  assert.deepEqual(mock.calls.filter(({ arguments: [url] }) => url.includes(wire.address)), []);
});

test("who leaves by polls insists for 2 s, and asks nothing more of a relay that is gone", limits, async (t) => {
  const wire = await proxy(t, await relay(t));
  const socket = new (carriers({ use: ["poll"] }))(`ws://${wire.address}/rooms/abc`, ["roomcast.v1"]);
  await once(socket, "open");
  const { mock } = t.mock.method(globalThis, "fetch");
  wire.become("down");
  socket.send(new Uint8Array(1));
  const [began] = [performance.now(), socket.close(1000)];
  await once(socket, "close");
  const passed = performance.now() - began;
  assert.ok(passed >= 2_000 && passed < 4_500, `${passed} ms`);
  const asked = mock.calls.map(({ arguments: [url] }) => url.replace(/.*\/(\w+).*/, "$1"));
  assert.ok(asked.length > 3 && asked.every((what) => what === "up" || what === "poll"), `${asked}`);
});
