// A player without a page, for the cursors: draws circles, and goes where somebody is who stands still.
//
//     node examples/bot.mjs [ws://127.0.0.1:7777/rooms/cursors]
//
// Node 22 has a WebSocket; before that, `npm install ws` and pass it: join(url, { name, WebSocket }).

import { join } from "../client/dist/index.js";

const room = await join(process.argv[2] ?? "ws://127.0.0.1:7777/rooms/cursors", { name: "Bot", WebSocket: globalThis.WebSocket ?? (await import("../client/node_modules/ws/wrapper.mjs")).default });
console.log(`number ${room.me.id} of ${room.players.size}`);
room.on("joined", ({ name }) => console.log(`${name} is here`));
room.on("closed", ({ message }) => {
  console.log(message);
  clearInterval(timer);
});

let [x, y] = [0.5, 0.5];
const timer = setInterval(() => {
  const others = [...room.players.values()].filter((player) => player !== room.me && !player.away && player.states.has(0));
  // Round and round somebody, or the middle.
  const [toX, toY] = others.length > 0 ? new Float32Array(others[0].states.get(0).buffer) : [0.5, 0.5];
  const angle = room.time() / 400;
  x += (toX + 0.08 * Math.cos(angle) - x) / 8;
  y += (toY + 0.08 * Math.sin(angle) - y) / 8;
  room.state(0, Float32Array.of(x, y));
}, 50);

process.on("SIGINT", () => room.leave());
