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
  const [, scheme, host] = /^(wss?):\/\/([^/?#]+)[^?#]*\/rooms\/[\w.~-]{1,64}(\?|$)/.exec(url) ?? [];
  if (!host) {
    throw new RoomError(`${url} is no room's address: wss://host/rooms/NAME, a name of 1 to 64 of A-Z a-z 0-9 . _ ~ -`, 0);
  }
  const local = /^((\S*\.)?localhost|127\.0\.0\.1|\[::1])(:\d+)?$/.test(host);
  if (scheme === "ws" && !local && globalThis.location?.protocol === "https:") {
    throw new RoomError("this page is https, the relay ws: browsers refuse that; use wss", 0);
  }
  return url;
}

export { RoomError } from "./ends.js";
export type { Socket, SocketConstructor } from "./link.js";
export type { Payload, Value } from "./packets.js";
export { Properties, Room } from "./room.js";
export type { Audience, Data, Groups, Hears, JoinOptions, Message, Player, Refusal, RoomEvents, Settings, State, Stats } from "./room.js";
