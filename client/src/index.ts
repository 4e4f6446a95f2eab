// The npm package `roomcast`: joining a room of a relay.

import { RoomError } from "./ends.js";
import { type JoinOptions, Room } from "./room.js";

/**
 * Joins a room: `await join("wss://host/rooms/abc", { name: "Ada" })`. Rejects with a RoomError that says what happened
 * and what to do.
 */
export async function join(url: string | URL, options: JoinOptions): Promise<Room> {
  const address = check(String(url));
  return new Promise((resolve, reject) => void new Room(address, options, resolve, reject));
}

function check(url: string): string {
  let address: URL;
  try {
    address = new URL(url);
  } catch {
    throw new RoomError(`${url} is no address: it should look like wss://host/rooms/abc`, 0);
  }
  const { protocol, pathname, hostname } = address;
  if (protocol !== "ws:" && protocol !== "wss:") {
    throw new RoomError(`${url} is ${protocol.slice(0, -1)}: a room's address begins with wss:// (or ws://)`, 0);
  }
  if (!/\/rooms\/[A-Za-z0-9._~-]{1,64}$/.test(pathname)) {
    throw new RoomError(`${url} names no room: after /rooms/ come 1 to 64 of A-Z a-z 0-9 . _ ~ -`, 0);
  }
  const local = hostname === "localhost" || hostname.endsWith(".localhost") || hostname === "127.0.0.1" || hostname === "[::1]";
  if (protocol === "ws:" && !local && globalThis.location?.protocol === "https:") {
    throw new RoomError("this page is https, the relay ws: browsers refuse that; use wss", 0);
  }
  return url;
}

export { RoomError } from "./ends.js";
export type { Socket, SocketConstructor } from "./link.js";
export type { Payload, Value } from "./packets.js";
export { Properties, Room } from "./room.js";
export type { Data, JoinOptions, Message, Player, Refusal, RoomEvents, Settings, Stats } from "./room.js";
