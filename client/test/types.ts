// What the compiler infers for a game: this file is never run.

import { join, type Payload, type Player, RoomError } from "roomcast";
import { Client, decode } from "roomcast/core";
import { type ListedRoom, listRooms, quickMatch } from "roomcast/find";
import { Hosting, type Saved } from "roomcast/host";
import { json, numbers } from "roomcast/schema";
import { Ticks } from "roomcast/ticks";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const holds = <_ extends true>() => {};

export async function game(): Promise<void> {
  await using room = await join("wss://host/rooms/abc", { name: "Ada", wishes: { players: 8 } });
  const off = room.on("message", ({ data, from, addressed }) => {
    holds<Same<typeof data, Payload>>();
    holds<Same<typeof from, Player>>();
    holds<Same<typeof addressed, boolean>>();
  });
  off();
  room.on("left", (player, reason) => {
    holds<Same<typeof player, Player>>();
    holds<Same<typeof reason, "left" | "grace" | "kicked">>();
  });
  room.on("state", ({ from, data }) => {
    holds<Same<typeof from, Player | null>>();
    holds<Same<typeof data, Payload | null>>();
  });
  room.state(0, new Float32Array(2));
  room.state(1, null, { room: true });
  room.audience(0, { group: 3 }, { stays: true });
  room.send("hi", { to: { group: 3 } });
  // @ts-expect-error states are told by the relay alone
  room.me.states.set(0, "x");
  room.on("reset", ({ dropped }) => holds<Same<typeof dropped, number>>());
  room.on("closed", (why) => holds<Same<typeof why, RoomError>>());
  room.send("hi", { to: room.me });
  room.send(new Float32Array(3), { to: [1, room.me], droppable: true });
  await room.properties.set({ map: "desert", old: null }, { expected: { map: room.properties.version("map") } });
  // @ts-expect-error nothing of that name ever happens
  room.on("massage", () => {});
  // @ts-expect-error numbers are no payload
  room.send(1);
  // @ts-expect-error players are changed by the relay alone
  room.me.away = true;
}

export async function hosted(): Promise<void> {
  const hosting = new Hosting({
    restore: (saved) => holds<Same<typeof saved, Saved>>(),
    save: () => "everything",
  });
  const room = await quickMatch("wss://host", { tag: "duel", max: 2, name: "Ada", hosting });
  room.on("host", (host) => holds<Same<typeof host, Player | null>>());
  room.send("a hit?", { to: "host" });
  room.send("a hit", { asHost: true });
  room.audience(1, "host");
  hosting.kick(room.me);
  holds<Same<ReturnType<typeof hosting.snapshot>, number | null>>();
  const { rooms, after } = await listRooms("wss://host", { tag: "duel" });
  holds<Same<typeof rooms, readonly ListedRoom[]>>();
  holds<Same<typeof after, string | null>>();
}

export async function values(): Promise<void> {
  const Ship = numbers({ x: "f32", y: "f32", hp: "u8" });
  const ticks = new Ticks();
  const room = await join("wss://host/rooms/abc", { name: "Ada", ticks, wishes: { ticks: 20 } });
  ticks.tell = () => room.state(0, Ship.encode({ x: 1, y: 2, hp: 3 }));
  const ship = Ship.decode(room.me.states.get(0));
  holds<Same<typeof ship, Record<"x" | "y" | "hp", number> | null>>();
  // @ts-expect-error that is no kind of number
  numbers({ x: "u7" });
  // @ts-expect-error there is no such number in it
  Ship.encode({ x: 1, y: 2, z: 3 });
  const Move = json<{ from: string; to: string }>();
  const move = Move.decode("{}");
  holds<Same<typeof move, { from: string; to: string } | null>>();
  holds<Same<ReturnType<typeof room.stats>["age"], number | undefined>>();
}

export function core(message: Uint8Array): void {
  const client = new Client({ name: "Ada" });
  for (const news of client.receive(message, 0)) {
    if (news.packet === "WELCOME") holds<Same<typeof news.dropped, number>>();
  }
  for (const packet of decode(message).packets) {
    if (packet.packet === "EVENT") holds<Same<typeof packet.payload, Payload>>();
  }
}
