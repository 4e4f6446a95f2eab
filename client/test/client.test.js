// What the sessions of protocol/vectors don't show: faults of a relay, bounds, pace, time.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Client, next, Violation } from "../dist/core.js";
import * as down from "./down.js";
import { packets } from "./vectors.js";

const S = 1_000_000;
const say = (payload) => ({ packet: "EVENT_OTHERS", payload, droppable: false });

/** All packets that the client writes now, but its pings. */
function writes(client, now) {
  const messages = [];
  for (let message; (message = client.transmit(now)); ) messages.push(message);
  return messages.flatMap(packets).filter((packet) => !packet.startsWith("60"));
}

/** A client that is in a room since `now`. */
function live({ now = 0, welcome = {}, ...options } = {}) {
  const client = new Client({ name: "Ada", ...options });
  client.opened(now);
  writes(client, now);
  client.receive(down.bundle(0, down.welcome(welcome), down.ready()), now);
  writes(client, now);
  return client;
}

const faults = {
  "something before the welcome": ["Joining", down.event(1, "a")],
  "READY before the welcome": ["Joining", down.ready()],
  "RESUMED for who has no cursor": ["Joining", down.resumed(0)],
  "READY twice": ["Live", down.ready()],
  "RESUMED on a connection that lives": ["Live", down.resumed(0)],
  "WELCOME without RESET": ["Live", down.welcome()],
  "something else than a welcome after RESET": ["Live", down.reset(1), down.event(1, "a")],
  "RESET after RESET": ["Live", down.reset(1), down.reset(1)],
  "another player's welcome on a connection that lives": ["Live", down.reset(1), down.welcome({ id: 2 })],
  "another life's welcome on a connection that lives": ["Live", down.reset(1), down.welcome({ life: down.TOKEN.slice(8) })],
  "a player of the welcome outside of one": ["Live", down.player(3, "Cy")],
  "somebody joins in a welcome": ["Live", down.reset(1), down.welcome(), down.joined(3, "Cy")],
  "something after READY in its bundle": ["Live", down.reset(1), down.welcome(), down.ready(), down.event(1, "a")],
  "more applied than was sent": ["Live", down.ack(1)],
};
for (const [name, [state, ...packets]] of Object.entries(faults)) {
  test(`fault: ${name}`, () => {
    const client = state === "Live" ? live() : new Client({ name: "Ada" });
    if (state === "Joining") client.opened(0);
    assert.equal(client.state, state);
    assert.throws(() => client.receive(down.bundle(0, ...packets), 0), Violation);
    assert.equal(client.state, "Ended");
    assert.equal(client.send(say("late")), "ended");
    assert.equal(client.due(), Infinity);
  });
}

test("acknowledgements, answers and the unknown may stand anywhere", () => {
  const client = live();
  const anywhere = [down.ack(0), down.pong(0, 0), down.keepalive(0), [0x9a, 0]];
  client.receive(down.bundle(0, ...anywhere, down.reset(1), ...anywhere, down.welcome(), ...anywhere, down.ready(), ...anywhere), 0);
  assert.equal(client.state, "Live");
  client.closed(null);
  client.opened(0);
  client.receive(down.bundle(0, down.ack(7), down.resumed(0)), 0);
  assert.equal(client.state, "Live");
});

test("fault: a welcome that covers entries", () => {
  for (const packets of [[down.welcome()], [down.welcome(), down.ready()]]) {
    const client = new Client({ name: "Ada" });
    client.opened(0);
    assert.throws(() => client.receive(down.bundle(1, ...packets), 0), Violation);
  }
});

test("fault: less applied than was acknowledged", () => {
  const client = live();
  client.send(say("a"));
  writes(client, 0);
  client.receive(down.bundle(0, down.ack(1)), 0);
  assert.throws(() => client.receive(down.bundle(0, down.ack(0)), 0), Violation);
});

test("nothing is told of a bundle that is malformed at its end", () => {
  const client = live();
  assert.throws(() => client.receive(new Uint8Array([...down.bundle(1, down.event(1, "a")), 8]), 0), Violation);
});

test("what waits for its acknowledgement is bounded, and freed by it", () => {
  const client = live({ bufferMax: 3 * (64 + 3) });
  for (const number of [0, 1, 2]) assert.equal(client.send(say("x")), number);
  assert.equal(client.send(say("x")), "full");
  assert.equal(writes(client, 0).length, 3);
  assert.equal(client.send(say("x")), "full");
  client.receive(down.bundle(0, down.ack(2)), 0);
  assert.equal(client.buffered, 64 + 3);
  assert.equal(client.send(say("x")), 3);
  assert.deepEqual(writes(client, 0), ["090178"]);
});

test("a message is no longer than the relay takes, and so is a packet", () => {
  const client = live({ welcome: { limits: [[2, 20]] } });
  for (let i = 0; i < 9; i++) client.send(say("12345"));
  client.receive(down.bundle(0), 3 * S);
  const messages = [];
  for (let message; (message = client.transmit(3 * S)); ) messages.push(message.length);
  assert.ok(messages.every((length) => length <= 20), `${messages}`);
  assert.ok(messages.length <= 6, `${messages}`);
  assert.throws(() => client.send(say("x".repeat(19))), /21 bytes in a packet: 0 to 20/);
});

test("sends at the pace that the relay allows, and says when it goes on", () => {
  // Ten a second and five at once, of which JOIN and the first PING took two.
  const client = live({ welcome: { limits: [[4, 10], [6, 5]] } });
  for (let i = 0; i < 6; i++) client.send(say(`${i}`));
  assert.equal(writes(client, 0).length, 3);
  assert.equal(client.due(), 0.1 * S);
  assert.equal(writes(client, 0.1 * S).length, 1);
  assert.equal(writes(client, 0.2 * S).length, 1);
});

test("after another life nothing is sent again, nor what was said to players of the old one", () => {
  const client = live();
  client.send(say("sent"));
  writes(client, 0);
  assert.equal(client.closed(1012), "resume");
  client.send({ ...say("to somebody of the old life"), packet: "EVENT_ONE", to: 7 });
  client.opened(S);
  writes(client, S);
  const news = client.receive(down.bundle(0, down.reset(3), down.welcome({ life: down.TOKEN.slice(8) }), down.ready()), S);
  assert.equal(news.find(({ packet }) => packet === "WELCOME").dropped, 2);
  assert.equal(client.buffered, 0);
  assert.equal(client.send(say("new")), 0);
  assert.deepEqual(writes(client, S), ["09036e6577"]);
});

test("a mode is for the first time only", () => {
  const client = live({ mode: 2 });
  client.closed(null);
  client.opened(S);
  assert.equal(client.transmit(S)[3], 0);
});

test("a random client at a random relay: each event is applied once, whatever breaks", () => {
  for (let seed = 1; seed <= 200; seed++) {
    let random = seed;
    const below = (n) => (random = (random * 48271) % 2147483647) % n;
    const client = live({ now: 0 });
    let applied = [];
    let said = 0;
    let open = true;
    const wire = [];
    for (let step = 0; step < 100; step++) {
      switch (open ? below(5) : 4) {
        case 0:
        case 1:
          client.send(say(`${said++}`));
          break;
        case 2:
          wire.push(...writes(client, 0));
          break;
        case 3:
          // Some of what is on its way arrives, and some of that is acknowledged.
          applied.push(...wire.splice(0, below(wire.length + 1)));
          if (below(2)) client.receive(down.bundle(0, down.ack(applied.length)), 0);
          break;
        case 4:
          if (open) client.closed(1006);
          client.send(say(`${said++}`));
          wire.length = 0;
          client.opened(0);
          assert.equal(writes(client, 0).length, 1);
          open = below(3) > 0;
          if (open) client.receive(down.bundle(0, down.resumed(applied.length)), 0);
          else client.closed(1006);
      }
    }
    if (open) applied.push(...wire.splice(0), ...writes(client, 0));
    applied = applied.map((packet) => Number(Buffer.from(packet.slice(4), "hex")));
    assert.deepEqual(applied, Array.from({ length: applied.length }, (_, i) => i), `seed ${seed}`);
    if (open) assert.equal(applied.length, said, `seed ${seed}`);
  }
});

test("time: set by the first sample, then moved by at most 5 %, never backwards", () => {
  const { clock } = live({ now: 10 * S, welcome: { time: 1000 * S } });
  assert.equal(clock.time(10 * S), 1000 * S);
  // A round trip of more than a minute is none, even if there is no other, nor is one that ended before it began.
  clock.sample(10 * S, 70 * S + 1, 2000 * S);
  clock.sample(10 * S + 1, 10 * S, 2000 * S);
  assert.equal(clock.trip, 0);
  clock.sample(10 * S, 10 * S + 200_000, 1000 * S + 50_000);
  assert.equal(clock.time(10 * S + 200_000), 1000 * S + 150_000);
  clock.sample(11 * S, 11 * S + 100_000, 1001 * S + 50_000);
  assert.equal(clock.trip, 100_000);
  // The target is 50 ms ahead now: in a second 50 ms are made good.
  const before = clock.time(11 * S + 100_000);
  assert.equal(before, 1001 * S + 50_000);
  assert.ok(Math.abs(clock.time(11 * S + 600_000) - (before + S / 2 + 25_000)) <= 1);
  assert.ok(Math.abs(clock.time(12 * S + 100_000) - (before + S + 50_000)) <= 50_001);
  // Far ahead: at once. Far behind: slowly, and never backwards.
  clock.sample(13 * S, 13 * S + 50_000, 1100 * S);
  assert.equal(clock.time(13 * S + 50_000), 1100 * S + 25_000);
  clock.sample(14 * S, 14 * S + 20_000, 1002 * S);
  let last = clock.time(14 * S + 20_000);
  for (let at = 14 * S + 20_000; at < 300 * S; at += 100_000) {
    const time = clock.time(at);
    assert.ok(time >= last && time - last <= 100_001, `${time - last}`);
    last = time;
  }
  assert.equal(last - (300 * S - 80_000), 1002 * S - 14 * S - 10_000);
  clock.state(5000 * S, 300 * S);
  assert.equal(clock.time(300 * S), 5000 * S);
});

test("close codes", () => {
  const cases = { resume: [null, 1001, 1005, 1006, 1011, 1012, 2999, 4002, 4005], "resume later": [1013] };
  cases.stop = [1000, 1002, 1007, 1008, 1009, 3000, 4000, 4001, 4003, 4004, 4006, 4007, 4008, 4009, 4010, 4011, 4999];
  for (const [what, codes] of Object.entries(cases)) for (const code of codes) assert.equal(next(code), what, `${code}`);
});
