// The examples, as they stand in their files.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { browser } from "./browser/chromium.js";
import { relay, target } from "./relay.js";

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
