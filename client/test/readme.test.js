// The README's first example, as it stands there.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import WebSocket from "ws";

import { join } from "../dist/index.js";
import { happens, relay } from "./relay.js";

const folder = fileURLToPath(new URL("..", import.meta.url));

test("the README's example runs", { timeout: 60_000 }, async (t) => {
  const url = `ws://${await relay(t)}/rooms/lobby`;
  const bob = await join(url, { name: "Bob", WebSocket });
  t.after(() => bob.leave());
  const [, example] = /```js\n(.*?)```/s.exec(readFileSync(`${folder}/README.md`, "utf8"));
  assert.ok(example.includes("ws://127.0.0.1:7777/rooms/lobby"));
  // In Node before 22 there is no WebSocket; and here is no npm install: a package may import itself by its name.
  const code = `globalThis.WebSocket ??= (await import("ws")).default;${example.replace("ws://127.0.0.1:7777/rooms/lobby", url)}`;
  const heard = happens(bob, "message");
  const ada = spawn(process.execPath, ["--input-type=module", "--eval", code], { cwd: folder, stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => ada.kill());
  const lines = createInterface(ada.stdout)[Symbol.asyncIterator]();
  assert.equal((await lines.next()).value, "2 of us, I am number 2");
  const { data, from } = await heard;
  assert.deepEqual([data, from.name], ["hello", "Ada"]);
  bob.send("hi");
  assert.equal((await lines.next()).value, "Bob says hi");
  await bob.leave();
  assert.equal((await lines.next()).value, "Bob is gone");
});
