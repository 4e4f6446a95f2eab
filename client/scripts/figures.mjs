// What the client costs a page, how fresh states are in rooms with ticks, and how soon a game goes on that was cut off, in headless
// Chromium: prints figures, and fails if one is beyond its bound. Needs a quiet machine; `npm run build` comes before.
//
//     node scripts/figures.mjs [ticks] [cuts] [profile]          (default: all; ROOMCAST names another relay than target/debug/roomcast)

import assert from "node:assert/strict";

import WebSocket from "ws";

import { join } from "../dist/index.js";
import { browser } from "../test/browser/chromium.js";
import { serve } from "../test/browser/serve.js";
import { network, relay } from "../test/relay.js";

const HZ = 20;
const PLAYERS = 50;
const STATE_BYTES = 16;
const SECONDS = 8;
const ROUNDS = 5;
const CUTS = 5;

const say = (what, figures) => console.log(`${what.padEnd(44)} ${figures}`);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const middle = (numbers) => numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
const held = (what, figure, bound) => {
  say(what, `${figure.toFixed(2)} (bound ${bound})`);
  return figure <= bound;
};

/** States are told just ahead of each tick of a room; how old they are when they come, and how many ticks have none. */
async function ticks(t) {
  const url = `ws://${await relay(t)}/rooms/ticks`;
  const page = await (await browser(t))(`${await serve(t)}/browser/blank.html`);
  const { ages, missed, visible } = await page.evaluate(
    async ([url, hz, seconds]) => {
      const { join } = await import("/dist/index.js");
      const { Ticks } = await import("/dist/align.js");
      let n = 0;
      const ticks = new Ticks();
      const ada = await join(url, { name: "Ada", ticks, wishes: { ticks: hz } });
      ticks.tell = () => ada.state(0, Float64Array.of(++n, performance.now()));
      const bob = await join(url, { name: "Bob", ticks: new Ticks() });
      // Until the moments are found.
      await new Promise((resolve) => setTimeout(resolve, 25_000));
      const ages = [];
      const off = bob.on("state", ({ data }) => ages.push(performance.now() - new Float64Array(data.buffer)[1]));
      const before = bob.time();
      await new Promise((resolve) => setTimeout(resolve, 1_000 * seconds));
      off();
      const ticked = Math.round(((bob.time() - before) / 1_000) * hz);
      await Promise.all([ada.leave(), bob.leave()]);
      return { ages, missed: Math.max(0, 1 - ages.length / ticked), visible: document.visibilityState };
    },
    [url, HZ, 3 * SECONDS],
  );
  assert.equal(visible, "visible");
  const p99 = ages.sort((a, b) => a - b)[Math.floor(ages.length * 0.99)];
  say("states that came in rooms with ticks", `${ages.length}, p99 of their age ${p99.toFixed(1)} ms`);
  return [held("p50 of the age of states, ms", middle(ages), 10), held("ticks without a state, %", 100 * missed, 2)].every(Boolean);
}

/** The others of a room: each sets a state so often. */
async function crowd(url, options) {
  const rooms = [];
  for (let i = 1; i < PLAYERS; i++) rooms.push(await join(url, { name: `P${i}`, WebSocket, ...options }));
  const timers = rooms.map((room) => setInterval(() => room.state(0, crypto.getRandomValues(new Uint8Array(STATE_BYTES))), 1_000 / HZ));
  return async () => {
    timers.forEach(clearInterval);
    await Promise.all(rooms.map((room) => room.leave()));
  };
}

/** Run in a page: a player of this room, by the client or by nothing but what keeps it there. */
async function plays(url, client) {
  globalThis.messages = 0;
  if (client) {
    const { join } = await import("/dist/index.js");
    class Counted extends WebSocket {
      constructor(...args) {
        super(...args);
        super.addEventListener("message", ({ data }) => {
          globalThis.messages++;
          globalThis.look?.(new Uint8Array(data));
        });
      }
    }
    const room = await join(url, { name: "Ada", WebSocket: Counted });
    globalThis.states = 0;
    room.on("state", () => globalThis.states++);
    globalThis.leave = () => room.leave();
  } else {
    const { encode } = await import("/dist/core.js");
    const socket = new WebSocket(url, ["roomcast.v1"]);
    socket.binaryType = "arraybuffer";
    await new Promise((resolve) => (socket.onopen = resolve));
    socket.onmessage = () => globalThis.messages++;
    socket.send(encode({ packet: "JOIN", minor: 0, mode: 0, name: "Ada", properties: [], wishes: [] }));
    const timer = setInterval(() => socket.send(encode({ packet: "PING", echo: 0, trip: 0 })), 2_000);
    globalThis.leave = () => (clearInterval(timer), socket.close(1000));
  }
}

/** Run in a page that plays: what kinds of packets the messages of so many seconds have in them, as "KIND+KIND", and of which ticks. */
async function looks(seconds) {
  const { decode } = await import("/dist/core.js");
  const [kinds, ticks] = [{}, []];
  globalThis.look = (message) => {
    const { packets } = decode(message);
    const said = [...new Set(packets.map(({ packet }) => packet))].sort().join("+");
    kinds[said] = (kinds[said] ?? 0) + 1;
    ticks.push(...packets.filter(({ packet }) => packet === "TICK").map(({ tick }) => tick));
  };
  await new Promise((resolve) => setTimeout(resolve, 1_000 * seconds));
  globalThis.look = undefined;
  return { kinds, ticks };
}

/** Bytes that each function has allocated itself, by its name. */
function allocated({ head, samples }) {
  const names = new Map();
  const walk = ({ id, callFrame, children }) => {
    names.set(id, callFrame.functionName || "(outside)");
    children.forEach(walk);
  };
  walk(head);
  const bytes = new Map();
  for (const { nodeId, size } of samples) bytes.set(names.get(nodeId), (bytes.get(names.get(nodeId)) ?? 0) + size);
  return [...bytes].sort((a, b) => b[1] - a[1]);
}

/** 50 players at 20 Hz, in a room with and without ticks: main-thread time beside an empty `onmessage` that gets the same. */
async function profile(t) {
  const address = await relay(t);
  const open = await browser(t);
  const site = await serve(t);
  const good = [];
  for (const hz of [HZ, 0]) {
    const url = `ws://${address}/rooms/profile-${hz}`;
    const end = await crowd(url, { wishes: { ticks: hz } });
    const ratios = [];
    const times = { client: [], empty: [] };
    let seen;
    let garbage;
    for (let round = 0; round < ROUNDS; round++) {
      for (const who of round % 2 ? ["client", "empty"] : ["empty", "client"]) {
        const page = await open(`${site}/browser/blank.html`);
        const cdp = await page.context().newCDPSession(page);
        await page.evaluate(plays.toString().replace(/^/, "globalThis.plays = "));
        await page.evaluate(([url, client]) => plays(url, client), [url, who === "client"]);
        await sleep(1_500);
        await cdp.send("Performance.enable", { timeDomain: "threadTicks" });
        const spent = async () => (await cdp.send("Performance.getMetrics")).metrics.find(({ name }) => name === "TaskDuration").value;
        const [before, messages] = [await spent(), await page.evaluate(() => globalThis.messages)];
        await sleep((1_000 * SECONDS) / 2);
        const [after, then] = [await spent(), await page.evaluate(() => globalThis.messages)];
        times[who].push((1e6 * (after - before)) / (then - messages));
        if (who === "client" && round === ROUNDS - 1) {
          await cdp.send("HeapProfiler.startSampling", { samplingInterval: 1_024, includeObjectsCollectedByMajorGC: true, includeObjectsCollectedByMinorGC: true });
          const from = await page.evaluate(() => globalThis.states);
          await sleep(4_000);
          const states = (await page.evaluate(() => globalThis.states)) - from;
          const { profile } = await cdp.send("HeapProfiler.stopSampling");
          garbage = allocated(profile).map(([name, bytes]) => [name, bytes / states]);
          seen = await page.evaluate(`(${looks})(${SECONDS})`);
        }
        await page.evaluate(() => globalThis.leave());
        await page.context().close();
      }
      ratios.push(times.client.at(-1) / times.empty.at(-1));
    }
    await end();
    const where = hz ? `with ${hz} ticks a second` : "without ticks";
    say(`main thread for each message, ${where}`, `client ${middle(times.client).toFixed(0)} us, empty onmessage ${middle(times.empty).toFixed(0)} us`);
    good.push(held(`their ratio, ${where}`, middle(ratios), 2));
    const total = garbage.reduce((sum, [, bytes]) => sum + bytes, 0);
    const most = garbage.slice(0, 6).map(([name, bytes]) => `${name} ${Math.round(bytes)}`);
    say(`allocated for each state, ${where}, B`, `${Math.round(total)}: ${most.join(", ")}`);
    say("messages by what is in them", JSON.stringify(seen.kinds));
    if (!hz) continue;
    // What has no tick is of this connection alone: answers to its pings, and keepalives where there are none.
    const { ticks } = seen;
    const ticked = Object.entries(seen.kinds).reduce((sum, [kind, count]) => sum + (kind.includes("TICK") ? count : 0), 0);
    good.push(held("messages for each tick that passed", ticked / (ticks.at(-1) - ticks[0] + 1), 1));
  }
  return good.every(Boolean);
}

/** A game's network is cut in the middle, both ways: how long after its return the game goes on, and that nothing is lost. */
async function cuts(t) {
  const address = await relay(t);
  const wire = await network(t, address);
  const page = await (await browser(t))(`${await serve(t)}/browser/blank.html`);
  await page.evaluate(
    async ([near, far]) => {
      const { join } = await import("/dist/index.js");
      globalThis.got = [[], []];
      globalThis.resumes = [];
      const [ada, bob] = [await join(`${near}/rooms/cuts`, { name: "Ada" }), await join(`${far}/rooms/cuts`, { name: "Bob" })];
      [ada, bob].forEach((room, i) => room.on("message", ({ data }) => got[i].push(Number(data))));
      bob.on("resumed", () => resumes.push(Date.now()));
      globalThis.said = 0;
      globalThis.timer = setInterval(() => {
        said++;
        ada.send(`${said}`);
        bob.send(`${said}`);
      }, 50);
    },
    [`ws://${address}`, `ws://${wire.address}`],
  );
  const good = [];
  for (const [what, ms, bound, cut, restore] of [
    ["cut by resets and refusals for 1.5 s", 1_500, 500, () => wire.cut(), () => wire.restore()],
    ["cut by resets and refusals for 5 s", 5_000, 2_000, () => wire.cut(), () => wire.restore()],
    ["cut by silence for 5 s", 5_000, 2_000, () => wire.silence(true), () => wire.silence(false)],
  ]) {
    const took = [];
    for (let round = 0; round < CUTS; round++) {
      // Wherever in the heartbeat.
      await sleep(2_500 * Math.random());
      const before = await page.evaluate(() => resumes.length);
      cut();
      await sleep(ms);
      restore();
      const at = Date.now();
      await page.waitForFunction((before) => resumes.length > before, before, { polling: 20 });
      took.push((await page.evaluate(() => resumes.at(-1))) - at);
    }
    good.push(held(`${what}: back after, ms, at most`, Math.max(...took), bound));
    say("", took.join(" "));
  }
  const lost = await page.evaluate(async () => {
    clearInterval(timer);
    while (got.some((numbers) => numbers.at(-1) !== said)) await new Promise((resolve) => setTimeout(resolve, 20));
    return got.map((numbers) => said - numbers.filter((number, i) => number === i + 1).length);
  });
  say("numbers lost, doubled or out of order", lost.join(" and "));
  return good.every(Boolean) && lost.every((count) => count === 0);
}

const ALL = { ticks, cuts, profile };
const wanted = process.argv.slice(2);
assert.ok(wanted.every((name) => name in ALL), `there are: ${Object.keys(ALL)}`);
let good = true;
for (const [name, figure] of Object.entries(ALL)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const ends = [];
  try {
    good = (await figure({ after: (end) => ends.push(end) })) && good;
  } finally {
    for (const end of ends.reverse()) await end();
  }
}
process.exit(good ? 0 : 1);
