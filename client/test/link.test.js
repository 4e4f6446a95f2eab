// Reconnecting, under virtual time and with sockets that do as they are told: what no real relay does on demand.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { mock, test } from "node:test";

import { join } from "../dist/index.js";
import * as down from "./down.js";
import { hex, packets } from "./vectors.js";

const URL = "ws://127.0.0.1:7777/rooms/abc";

/** Virtual time, and every socket that the client opens meanwhile. */
function world(t, { random = 0.999_999 } = {}) {
  let now = 0;
  mock.timers.enable({ apis: ["setTimeout"] });
  mock.method(performance, "now", () => now);
  mock.method(Math, "random", () => random);
  t.after(() => {
    mock.timers.reset();
    mock.restoreAll();
  });
  const asked = [];
  const ready = { ok: null };
  mock.method(globalThis, "fetch", async (url) => {
    asked.push({ url, at: now });
    if (ready.ok === null) throw new TypeError("fetch failed");
    return ready;
  });
  const sockets = [];
  class Socket extends EventTarget {
    protocol = "roomcast.v1";
    sent = [];
    closed = null;
    constructor(url, protocols) {
      super();
      assert.deepEqual([url, protocols], [URL, ["roomcast.v1"]]);
      sockets.push(this);
    }
    send(message) {
      this.sent.push(message);
    }
    close(code = 1005, reason = "") {
      this.closed = { code, reason };
    }
    opens() {
      this.dispatchEvent(new Event("open"));
    }
    says(...args) {
      this.dispatchEvent(Object.assign(new Event("message"), { data: down.bundle(...args).buffer }));
    }
    closes(code = 1006, reason = "") {
      this.dispatchEvent(Object.assign(new Event("close"), { code, reason }));
    }
  }
  /** Lets `ms` pass, and all that was promised meanwhile happen. */
  const pass = async (ms) => {
    for (let left = ms; ; left -= 10) {
      await new Promise(setImmediate);
      if (left <= 0) return;
      now += Math.min(left, 10);
      mock.timers.tick(Math.min(left, 10));
    }
  };
  /** The clock goes on, and nothing else does. */
  const sleep = (ms) => (now += ms);
  return { sockets, Socket, pass, sleep, at: () => now, asked, ready };
}

async function joined(world, options) {
  const joining = join(URL, { name: "Ada", WebSocket: world.Socket, ...options });
  world.sockets[0].opens();
  world.sockets[0].says(0, down.welcome({ id: 2 }), down.settings([2, 8]), down.player(1, "Bob"), down.player(2, "Ada"), down.ready());
  const room = await joining;
  const heard = [];
  for (const event of ["message", "left", "lost", "resumed", "reset", "closed"]) {
    room.on(event, (...args) => heard.push([event, ...args]));
  }
  return { room, heard, names: () => heard.map(([event]) => event) };
}

test("a silent connection is given up after 6 s, and what it still delivers reaches nobody", async (t) => {
  const w = world(t, { random: 0 });
  w.ready.ok = true;
  const { room, names } = await joined(w);
  await w.pass(5_990);
  assert.equal(w.sockets.length, 1);
  await w.pass(20);
  assert.equal(w.sockets.length, 2);
  assert.notEqual(w.sockets[0].closed, null);
  w.sockets[0].says(1, down.event(1, "late"));
  w.sockets[0].closes(4000);
  assert.equal(room.send("meanwhile"), 0);
  w.sockets[1].opens();
  // Token and cursor: as the player that it was.
  assert.equal(w.sockets[1].sent[0][0], 0x4b);
  w.sockets[1].says(1, down.resumed(0), down.event(1, "missed"));
  assert.deepEqual(names(), ["lost", "resumed", "message"]);
  assert.ok(w.sockets[1].sent.flatMap(packets).includes(`0909${hex(Buffer.from("meanwhile"))}`));
  assert.equal(room.stats().resumes, 1);
});

test("says that it is there whenever it has said nothing for 2.5 s, also if only messages wake it", async (t) => {
  const w = world(t);
  await joined(w);
  const [socket] = w.sockets;
  await w.pass(1_000);
  const before = socket.sent.length;
  assert.equal(before, 1 + 5);
  for (let i = 0; i < 4; i++) {
    await w.pass(2_500);
    socket.says(0, down.keepalive(1));
  }
  assert.equal(socket.sent.length, before + 4);
});

test("where it can't be asked it tries again within 5 s, and then ever more seldom, up to each five minutes", async (t) => {
  const w = world(t);
  const { names } = await joined(w);
  const waits = [];
  for (let i = 1; i <= 6; i++) {
    w.sockets.at(-1).closes();
    const since = w.at();
    while (w.sockets.length === i) await w.pass(10);
    waits.push(Math.round((w.at() - since) / 1000));
  }
  assert.deepEqual(waits, [4, 7, 19, 67, 259, 303]);
  // From the first answer on it is as at first.
  w.sockets.at(-1).opens();
  w.sockets.at(-1).says(0, down.resumed(0));
  w.sockets.at(-1).closes();
  await w.pass(4_260);
  assert.equal(w.sockets.length, 8);
  assert.equal(names().filter((name) => name === "lost").length, 7);
});

test("an overloaded relay is left alone for a second at least", async (t) => {
  const w = world(t, { random: 0 });
  await joined(w);
  w.ready.ok = true;
  w.sockets[0].closes(1013);
  await w.pass(980);
  assert.deepEqual([w.asked.length, w.sockets.length], [0, 1]);
  await w.pass(30);
  assert.equal(w.sockets.length, 2);
});

test("asks whether the relay is there, often at first, and goes on as soon as it says so", async (t) => {
  const w = world(t);
  const { names } = await joined(w);
  w.sockets[0].closes();
  const since = w.at();
  await w.pass(12_000);
  assert.ok(w.asked.every(({ url }) => url === "http://127.0.0.1:7777/readyz"));
  const waits = w.asked.map(({ at }, i) => at - (w.asked[i - 1]?.at ?? since));
  const early = w.asked.filter(({ at }) => at - since <= 2_000).length;
  assert.ok(early >= 7 && waits.slice(0, early).every((wait) => wait <= 260), `${waits}`);
  assert.ok(waits.slice(early).every((wait, i, all) => wait >= (all[i - 1] ?? 0) - 10 && wait <= 2_010), `${waits}`);
  assert.ok(waits.at(-1) > 1_900, `${waits}`);
  // It drains: that is not there. A socket that hangs meanwhile is no reason not to ask.
  w.ready.ok = false;
  await w.pass(4_000);
  const before = w.sockets.length;
  w.ready.ok = true;
  await w.pass(2_020);
  assert.ok(w.sockets.length > before);
  const { length } = w.asked;
  const socket = w.sockets.at(-1);
  assert.ok(w.sockets.slice(1, -1).every(({ closed }) => closed), "those that hang are given up");
  socket.opens();
  socket.says(0, down.resumed(0));
  assert.equal(names().at(-1), "resumed");
  await w.pass(5_000);
  assert.equal(w.asked.length, length);
});

test("a relay that is there, and refuses all the same, is not asked again and again", async (t) => {
  const w = world(t);
  await joined(w);
  w.ready.ok = true;
  w.sockets[0].closes();
  await w.pass(260);
  assert.equal(w.sockets.length, 2);
  for (let i = 0; i < 1_000; i++) {
    await w.pass(10);
    if (!w.sockets.at(-1).gone) w.sockets.at(-1).closes();
    w.sockets.at(-1).gone = true;
  }
  assert.ok(w.sockets.length <= 6, `${w.sockets.length}`);
  assert.equal(w.asked.length, w.sockets.length - 1);
});

test("once the relay has answered, no WebSocket is tried before it does again: browsers would hold back the one that works", async (t) => {
  const w = world(t);
  await joined(w);
  const comesBack = async (after) => {
    w.ready.ok = null;
    const { length } = w.sockets;
    w.sockets.at(-1).closes();
    await w.pass(after);
    const tried = w.sockets.length - length;
    w.ready.ok = true;
    await w.pass(2_010);
    w.sockets.at(-1).opens();
    w.sockets.at(-1).says(0, down.resumed(0));
    return tried;
  };
  assert.equal(await comesBack(1_000), 0);
  assert.equal(await comesBack(600_000), 0);
  // It answers, refuses, and is gone: the next WebSocket waits for an answer too.
  w.sockets.at(-1).closes();
  await w.pass(260);
  w.ready.ok = null;
  const { length } = w.sockets;
  w.sockets.at(-1).closes();
  await w.pass(600_000);
  assert.equal(w.sockets.length, length);
});

test("after a restart not all come at once; an overloaded relay is not asked at once", async (t) => {
  const w = world(t);
  await joined(w);
  w.ready.ok = true;
  w.sockets[0].closes(1012);
  await w.pass(900);
  assert.deepEqual([w.asked.length, w.sockets.length], [0, 1]);
  await w.pass(110);
  assert.equal(w.asked.length, 1);
  const socket = w.sockets.at(-1);
  socket.opens();
  socket.says(0, down.resumed(0));
  w.asked.length = 0;
  socket.closes(1013);
  await w.pass(1_200);
  assert.equal(w.asked.length, 0);
});

test("never comes back for a code that says so", async (t) => {
  const w = world(t);
  const { heard } = await joined(w);
  w.sockets[0].closes(4001, "the host has kicked you: for cheating");
  await w.pass(60_000);
  assert.equal(w.sockets.length, 1);
  assert.equal(heard.length, 1);
  assert.equal(heard[0][0], "closed");
  assert.match(heard[0][1].message, /^the host has kicked you: for cheating$/);
});

test("a socket that does not open is given up after 5 s", async (t) => {
  const w = world(t, { random: 0 });
  w.ready.ok = true;
  const { heard } = await joined(w);
  w.sockets[0].closes();
  await w.pass(10);
  assert.equal(w.sockets.length, 2);
  await w.pass(5_020);
  assert.equal(w.sockets.length, 3);
  assert.match(heard[1][1].message, /^no answer within 5 s: is the relay up/);
});

/** What a page would be told of, until the test is over. */
function events(t) {
  const page = new EventTarget();
  globalThis.addEventListener = page.addEventListener.bind(page);
  globalThis.removeEventListener = page.removeEventListener.bind(page);
  t.after(() => {
    delete globalThis.addEventListener;
    delete globalThis.removeEventListener;
  });
  return page;
}

test("the network comes back: no waiting any more; and a connection that stands is asked whether it lives", async (t) => {
  const page = events(t);
  const w = world(t);
  const { room } = await joined(w);
  for (let i = 0; i < 5; i++) {
    w.sockets.at(-1).closes();
    await w.pass(10_000);
  }
  w.sockets.at(-1).closes();
  const { length } = w.sockets;
  page.dispatchEvent(new Event("online"));
  await w.pass(110);
  assert.equal(w.sockets.length, length + 1);
  const socket = w.sockets.at(-1);
  socket.opens();
  socket.says(0, down.resumed(0));
  await w.pass(1_500);
  const sent = socket.sent.length;
  page.dispatchEvent(new Event("online"));
  assert.equal(socket.sent.length, sent + 1);
  // After leaving it listens to nothing any more.
  void room.leave();
  page.dispatchEvent(new Event("online"));
  await w.pass(20_000);
  assert.equal(w.sockets.length, length + 1);
});

test("after sleep, in which the clock went on alone, the connection is given up as soon as the page is back", async (t) => {
  const page = events(t);
  const w = world(t);
  w.ready.ok = true;
  const { room, names } = await joined(w);
  const before = room.time();
  w.sleep(3_600_000);
  page.dispatchEvent(new Event("visibilitychange"));
  await w.pass(110);
  assert.equal(w.sockets.length, 2);
  const [, socket] = w.sockets;
  socket.opens();
  socket.says(0, down.resumed(0));
  assert.deepEqual(names(), ["lost", "resumed"]);
  assert.ok(room.time() >= before);
  // Where the clock stood still too, the connection is asked, and given up if it does not answer.
  const sent = socket.sent.length;
  page.dispatchEvent(new Event("pageshow"));
  assert.equal(socket.sent.length, sent + 1);
  await w.pass(6_300);
  assert.equal(w.sockets.length, 3);
});

test("the time of day is asked nowhere: whoever sets it changes nothing", () => {
  const folder = new globalThis.URL("../src/", import.meta.url);
  for (const file of readdirSync(folder)) assert.doesNotMatch(readFileSync(new globalThis.URL(file, folder), "utf8"), /\bDate\b/, file);
});

/** Timers of a page that has been hidden for long: those that timers set, one after the other, come once a minute, all others once a second. */
function throttle(t) {
  const plain = globalThis.setTimeout;
  let chain = 0;
  globalThis.document = { hidden: true, visibilityState: "hidden" };
  globalThis.setTimeout = (task, ms) => {
    const mine = chain + 1;
    const run = () => {
      chain = mine;
      try {
        task();
      } finally {
        chain = 0;
      }
    };
    return plain(run, mine > 5 ? Math.max(60_000, ms) : Math.max(1_000, ms));
  };
  t.after(() => {
    globalThis.setTimeout = plain;
    delete globalThis.document;
  });
}

test("a page that was hidden for long finds within seconds that its connection is dead, and comes back", async (t) => {
  const w = world(t);
  throttle(t);
  w.ready.ok = true;
  await joined(w);
  const [socket] = w.sockets;
  for (let i = 0; i < 24; i++) {
    await w.pass(2_500);
    socket.says(0, down.keepalive(1));
  }
  // It has answered all the time.
  assert.ok(socket.sent.length >= 24, `${socket.sent.length}`);
  await w.pass(8_000);
  assert.equal(w.sockets.length, 2);
});

test("the device changes its network: a connection that stands is asked whether it lives", async (t) => {
  const connection = new EventTarget();
  Object.defineProperty(globalThis, "navigator", { value: { connection }, configurable: true });
  t.after(() => delete globalThis.navigator);
  const w = world(t);
  const { room } = await joined(w);
  const sent = () => w.sockets[0].sent.length;
  await w.pass(1_500);
  const before = sent();
  connection.dispatchEvent(new Event("change"));
  assert.equal(sent(), before + 1);
  void room.leave();
  const after = sent();
  connection.dispatchEvent(new Event("change"));
  assert.equal(sent(), after);
});

test("what is sent in one turn of the event loop goes in one message", async (t) => {
  const w = world(t);
  const { room } = await joined(w);
  const before = w.sockets[0].sent.length;
  for (const data of ["a", "b", "c"]) room.send(data);
  await w.pass(0);
  assert.deepEqual(w.sockets[0].sent.slice(before).map(packets), [["090161", "090162", "090163"]]);
});

test("a game's mistake in a listener is reported as any, and the room goes on", async (t) => {
  const w = world(t);
  const { room } = await joined(w);
  const got = [];
  room.on("message", () => {
    throw new Error("the game's");
  });
  room.on("message", ({ data, from }) => got.push(`${from.name}: ${data}`));
  const { mock } = t.mock.method(globalThis, "queueMicrotask", () => {});
  w.sockets[0].says(1, down.event(1, "a"), down.event(2, "b"));
  assert.deepEqual(got, ["Bob: a", "Ada: b"]);
  const thrown = mock.calls.flatMap(({ arguments: [task] }) => {
    try {
      task();
      return [];
    } catch (error) {
      return [error.message];
    }
  });
  assert.deepEqual(thrown, ["the game's", "the game's"]);
});

test("what is full is said", async (t) => {
  const w = world(t);
  const { room } = await joined(w, { bufferMax: 200 });
  assert.deepEqual([room.send("a"), room.send("b"), room.send("c")], [0, 1, null]);
  await assert.rejects(room.properties.set({ key: "value" }), /too much waits for the relay/);
  await w.pass(0);
  w.sockets[0].says(0, down.ack(2));
  assert.equal(room.send("c"), 2);
});

test("a relay that does not speak the protocol, or breaks it", async (t) => {
  const w = world(t);
  const joining = join(URL, { name: "Ada", WebSocket: w.Socket });
  w.sockets[0].protocol = "";
  w.sockets[0].opens();
  await assert.rejects(joining, /does not speak roomcast.v1: is it a relay\?/);
  w.sockets.length = 0;
  const { heard } = await joined(w);
  w.sockets[0].says(0, down.ready());
  assert.equal(w.sockets[0].closed.code, 4006);
  assert.match(heard[0][1].message, /^READY out of place: are .*both up to date\?/);
});

test("joining is given up in the end, and says why", async (t) => {
  const w = world(t);
  const joining = join(URL, { name: "Ada", WebSocket: w.Socket, timeout: 3_000 });
  const rejected = assert.rejects(joining, /could not join within 3 s: no connection: is the relay up at ws:/);
  w.sockets[0].closes();
  await w.pass(3_010);
  await rejected;
  const { length } = w.sockets;
  await w.pass(60_000);
  assert.equal(w.sockets.length, length);
});

test("a reset says what was dropped, and what nobody will ever know", async (t) => {
  const w = world(t, { random: 0 });
  w.ready.ok = true;
  const { room, heard } = await joined(w);
  room.send("a");
  const write = assert.rejects(room.properties.set({ map: "desert" }), /something was missed/);
  await w.pass(0);
  w.sockets[0].closes(1012);
  await w.pass(10);
  w.sockets[1].opens();
  w.sockets[1].says(0, down.reset(3), down.welcome({ id: 1, life: down.TOKEN.slice(8) }), down.player(1, "Ada"), down.ready());
  assert.deepEqual(heard.at(-1), ["reset", { reason: "token", dropped: 2 }]);
  assert.deepEqual([...room.players.keys()], [1]);
  assert.equal(room.me.name, "Ada");
  await write;
});

test("what a socket does not take waits in the client, and of states only the newest", async (t) => {
  const w = world(t);
  const { room } = await joined(w);
  const [socket] = w.sockets;
  socket.bufferedAmount = 20_000;
  const before = socket.sent.length;
  for (const data of ["a", "b", "c"]) {
    room.state(0, data);
    await w.pass(50);
  }
  assert.equal(socket.sent.length, before);
  socket.bufferedAmount = 0;
  await w.pass(30);
  assert.deepEqual(socket.sent.slice(before).flatMap(packets).filter((packet) => packet.startsWith("39")), ["39020063"]);
});

test("a page that is https says so, instead of failing without a word", async (t) => {
  globalThis.location = { protocol: "https:" };
  t.after(() => delete globalThis.location);
  class Socket {
    constructor() {
      throw new Error("tried");
    }
  }
  const to = (host) => join(`ws://${host}/rooms/abc`, { name: "Ada", WebSocket: Socket });
  for (const host of ["game.example", "localhost.example", "10.0.0.1:7777"]) {
    await assert.rejects(to(host), /this page is https, the relay ws: browsers refuse that; use wss/);
  }
  // These are thought safe, whatever the page is.
  for (const host of ["localhost:7777", "game.localhost", "127.0.0.1:7777", "[::1]:7777"]) {
    await assert.rejects(to(host), /tried/);
  }
});
