// The examples, as they stand in their files.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import WebSocket from "ws";

import { join } from "../dist/index.js";
import { browser } from "./browser/chromium.js";
import { network, relay, target } from "./relay.js";

const limits = { timeout: 60_000 };
const example = (name) => new URL(`../../examples/${name}`, import.meta.url);
const rust = `${target}/debug/examples/bot`;
const page = (name, query) => `${example(name)}?${new URLSearchParams(query)}`;

test("cursors: two pages and a bot see each other", limits, async (t) => {
  const address = await relay(t);
  const open = await browser(t);
  const ada = await open(page("cursors.html", { relay: address, name: "Ada" }));
  await ada.waitForFunction(() => document.title);
  const bob = await open(page("cursors.html", { relay: address, name: "Bob" }));
  /** Where a page shows the pointer of somebody. */
  const shown = (who) => {
    const element = [...document.querySelectorAll(".cursor")].find(({ textContent }) => textContent === who);
    const [, x, y] = /translate\((.*)px, (.*)px\)/.exec(element?.style.transform ?? "") ?? [];
    return x && [Number(x), Number(y)];
  };
  const near = (at, [x, y]) => Math.abs(at[0] - x) < 3 && Math.abs(at[1] - y) < 3;
  const sees = (one, who, at) => one.waitForFunction(`((at) => { const to = ${JSON.stringify(at)}; return at && (!to || (${near})(at, to)) })((${shown})(${JSON.stringify(who)}))`);
  // A page listens once it has joined.
  await ada.waitForFunction(`(${shown})("Ada") || (dispatchEvent(new PointerEvent("pointermove", { clientX: 300, clientY: 200 })), false)`);
  await sees(bob, "Ada", [300, 200]);
  await ada.mouse.move(100, 400);
  await sees(bob, "Ada", [100, 400]);

  const room = `ws://${address}/rooms/cursors`;
  for (const [name, ...command] of [["Bot", process.execPath, fileURLToPath(example("bot.mjs")), room], ["Rusty", rust, room]]) {
    const bot = spawn(command[0], command.slice(1), { stdio: ["ignore", "ignore", "inherit"] });
    t.after(() => bot.kill("SIGKILL"));
    const [failed] = await Promise.race([once(bot, "error"), sees(bob, name, null).then(() => [])]);
    assert.ok(!failed, `${failed} (cargo build -p roomcast --example bot)`);
    await sees(ada, name, null);
  }
});

test("cursors: eight at 20 Hz; who comes late sees all, and who was cut off is back, though no line is about that", limits, async (t) => {
  const address = await relay(t);
  const wire = await network(t, address);
  const open = await browser(t);
  const ada = await open(page("cursors.html", { relay: wire.address, name: "Ada" }));
  const players = await Promise.all(Array.from({ length: 6 }, (_, i) => join(`ws://${address}/rooms/cursors`, { name: `P${i}`, WebSocket })));
  let n = 0;
  const timer = setInterval(() => players.forEach((player, i) => player.state(0, Float32Array.of((i + 1) / 8, (++n % 100) / 100))), 50);
  t.after(() => {
    clearInterval(timer);
    return Promise.all(players.map((player) => player.leave()));
  });
  await ada.waitForFunction(() => dispatchEvent(new PointerEvent("pointermove", { clientX: 300, clientY: 200 })) && document.querySelectorAll(".cursor").length === 7);
  const late = await open(page("cursors.html", { relay: address, name: "Late" }));
  await late.mouse.move(50, 60);
  const names = () => [...document.querySelectorAll(".cursor")].map(({ textContent }) => textContent).sort().join(" ");
  await late.waitForFunction(`(${names})() === "Ada Late P0 P1 P2 P3 P4 P5" || (dispatchEvent(new PointerEvent("pointermove", { clientX: 50, clientY: 60 })), false)`);
  wire.cut();
  const away = () => [...document.querySelectorAll(".away")].map(({ textContent }) => textContent).join();
  await late.waitForFunction(`(${away})() === "Ada"`);
  wire.restore();
  await late.waitForFunction(`(${away})() === ""`);
  await ada.mouse.move(400, 300);
  await late.waitForFunction(() => {
    const element = [...document.querySelectorAll(".cursor")].find(({ textContent }) => textContent === "Ada");
    const [, x, y] = /translate\((.*)px, (.*)px\)/.exec(element.style.transform);
    return Math.abs(x - 400) < 3 && Math.abs(y - 300) < 3;
  });
});

test("tic-tac-toe: in turns, seen by both, until one has won", limits, async (t) => {
  const address = await relay(t);
  const open = await browser(t);
  const ada = await open(page("tictactoe.html", { relay: address, name: "Ada" }));
  const says = (one, words) => one.waitForFunction((words) => document.getElementById("says").textContent === words, words);
  await says(ada, "Open this page once more: two play");
  const bob = await open(page("tictactoe.html", { relay: address, name: "Bob" }));
  for (const [i, at] of [0, 3, 1, 4, 2].entries()) {
    const [mover, waits] = i % 2 ? [bob, ada] : [ada, bob];
    await says(waits, `${i % 2 ? "Bob" : "Ada"}'s turn`);
    await says(mover, `Your turn: ${i % 2 ? "O" : "X"}`);
    await mover.locator("#board button").nth(at).click();
  }
  await says(ada, "You have won");
  await says(bob, "Ada has won");
  await bob.locator("#again").click();
  await says(ada, "Your turn: X");
});
