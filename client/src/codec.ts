// What packets look like as bytes (docs/PROTOCOL.md, sections 3 to 5).
//
// Must not know: what a session allows when. Invariant: a bundle is decoded whole or is Malformed.

import { ID_MAX, Malformed, PROPERTIES_MAX, Reader, utf8, within, Writer } from "./bytes.js";
import type { Bundle, Down, Payload, Property, Up } from "./packets.js";

export const LIST_MAX = 256;

export function decode(message: Uint8Array): Bundle {
  const reader = new Reader(message);
  const bundle: Bundle = { covered: reader.varint(), packets: [] };
  while (!reader.done) {
    const kind = reader.u8();
    const end = reader.part(reader.varint());
    bundle.packets.push(packet(kind, reader));
    reader.finish(end);
  }
  return bundle;
}

type Field = (body: Reader, flag: boolean) => unknown;
const number: Field = (body) => body.varint();
const flag: Field = (_, flag) => flag;
const id: Field = (body) => body.id();
const owner: Field = (body) => body.owner();
const key: Field = (body) => body.varint(ID_MAX);
const name: Field = (body) => body.name(true);
const pairs: Field = (body) => body.pairs();
const detail: Field = (body) => utf8(body.rest());

/** The packets whose body is just fields, one after the other: their names, and how the fields are read. A `flag` is that of the kind. */
const DOWN: Record<number, [name: string, fields: Record<string, Field>]> = {
  0x18: ["REMOVED", { author: owner, key }],
  0x19: ["REMOVED_ALL", {}],
  0x20: [
    "WELCOME",
    {
      created: flag,
      minor: number,
      capabilities: number,
      life: (body) => body.bytes(8),
      id,
      token: (body) => body.bytes(16),
      seq: number,
      applied: number,
      time: number,
      limits: pairs,
    },
  ],
  0x28: ["SETTINGS", { settings: pairs }],
  0x30: ["PLAYER", { away: flag, id, name }],
  0x38: ["READY", {}],
  0x40: ["JOINED", { id, name, properties: (body) => properties(body, 0) }],
  0x48: ["LEFT", { id, reason: number }],
  0x50: ["AWAY", { id }],
  0x58: ["BACK", { id }],
  0x60: ["PROPERTIES", { owner, author: owner, changes: (body) => properties(body, 1) }],
  0x68: ["RESUMED", { applied: number, time: number }],
  0x70: ["RESET", { reason: number }],
  0x78: ["REFUSED", { number, reason: number, detail }],
  0x79: ["REFUSED_STATE", { key, reason: number, detail }],
  0x80: ["ACK", { applied: number }],
  0x88: ["PONG", { echo: number, time: number }],
  0x90: ["KEEPALIVE", { time: number }],
  0x98: ["HOST", { given: flag, term: number, id: owner }],
  0xa0: ["LOCKED", { locked: flag }],
  0xa8: ["SNAPSHOT", { cut: flag, seq: number, state: (body) => body.rest() }],
  0xb0: ["SNAPSHOT_WANTED", { term: number }],
  0xd0: ["NOTICE", { notice: detail }],
  0xc8: ["TRIPS", { trips: (body) => body.rest() }],
};
/** Of these the kind has a flag. */
const FLAGGED = [0x21, 0x31, 0x99, 0xa1, 0xa9];

function packet(kind: number, body: Reader): Down {
  const text = (kind & 1) !== 0;
  const host = (kind & 2) !== 0;
  // These are most of what comes.
  if (kind >> 3 === 0x08 >> 3) {
    const author = body.id();
    return { packet: "EVENT", author, host, addressed: (kind & 4) !== 0, payload: payload(body, text) };
  }
  if (kind >> 2 === 0x10 >> 2) {
    const author = body.owner();
    return { packet: "STATE", author, key: body.varint(ID_MAX), host, payload: payload(body, text, "slice") };
  }
  const known = DOWN[FLAGGED.includes(kind) ? kind - 1 : kind];
  if (!known) return { packet: "UNKNOWN", kind, body: body.rest() };
  const read: Record<string, unknown> = { packet: known[0] };
  for (const field in known[1]) read[field] = known[1][field]!(body, text);
  return read as unknown as Down;
}

function payload(body: Reader, text: boolean, how?: "slice"): Payload {
  const bytes = body.rest(how);
  return text ? utf8(bytes) : bytes;
}

function properties(body: Reader, min: number): Property[] {
  const list = body.list(min, PROPERTIES_MAX, () => ({
    key: body.name(),
    version: body.varint(),
    value: body.value(),
  }));
  const twice = new Set(list.map(({ key }) => key)).size < list.length;
  // With a JOINED nothing is deleted.
  if (twice || (min === 0 && list.some(({ value }) => value === null))) throw new Malformed("bad list");
  return list;
}

// Encoding never waits for anything, so one of each is enough for all clients of a page.
const body = new Writer();
const whole = new Writer();

/** A packet as bytes of its own. Throws RangeError, in words, for what the protocol has no place for. */
export function encode(packet: Up): Uint8Array {
  body.length = 0;
  const kind = write(packet);
  whole.length = 0;
  whole.u8(kind);
  whole.varint(body.length);
  whole.append(body);
  return whole.take();
}

/** Writes the body, returns the kind. */
function write(packet: Up): number {
  if ("term" in packet) body.varint(packet.term!);
  switch (packet.packet) {
    case "EVENT_OTHERS":
      return event(0x08, packet);
    case "EVENT_ALL":
      return event(0x10, packet);
    case "EVENT_ONE":
      body.id(packet.to);
      return event(0x18, packet);
    case "EVENT_GROUP":
      body.varint(packet.group, ID_MAX);
      return event(0x30, packet);
    case "EVENT_HOST":
      return event(0x28, packet);
    case "EVENT_LIST": {
      const { to } = packet;
      within("players", to.length, 1, LIST_MAX);
      ascend(to);
      body.varint(to.length);
      for (const id of to) body.id(id);
      return event(0x20, packet);
    }
    case "JOIN":
      body.varint(packet.minor);
      body.varint(packet.mode, 2);
      if (packet.token) body.payload(packet.token);
      if (packet.life) {
        body.payload(packet.life);
        body.varint(packet.seq!);
      }
      body.name("the name", packet.name);
      body.properties(packet.properties, 0, ({ key, value }) => body.value(key, value));
      body.pairs(packet.wishes);
      return 0x48 + (packet.token ? 1 : 0) + (packet.life ? 2 : 0);
    case "LEAVE":
      return 0x50;
    case "PROPERTIES":
      body.varint(packet.owner);
      body.properties(packet.changes, 1, ({ key, guard, value }) => {
        body.varint(guard);
        body.value(key, value);
      });
      return 0x58;
    case "STATE":
      body.varint(packet.key, ID_MAX);
      body.payload(packet.payload);
      return 0x38 + (typeof packet.payload === "string" ? 1 : 0) + (packet.room ? 2 : 0);
    case "DELETE":
      body.varint(packet.key, ID_MAX);
      return packet.room ? 0x42 : 0x40;
    case "AUDIENCE":
      body.varint(packet.key, ID_MAX);
      body.varint(packet.flags, 15);
      if ((packet.flags & 3) === 2) body.varint(packet.group!, ID_MAX);
      return 0x70;
    case "GROUPS": {
      const { groups, only } = packet;
      within("groups", groups.length, only ? 0 : 1, LIST_MAX);
      ascend(groups.map(([group]) => group));
      for (const [group, inside] of groups) {
        body.varint(group, ID_MAX);
        body.varint(inside, 1);
      }
      return only ? 0x79 : 0x78;
    }
    case "PING":
      body.varint(packet.echo);
      body.varint(packet.trip);
      return packet.ticks ? 0x61 : 0x60;
    case "IMPAIR":
      body.varint(packet.delay, 10_000);
      body.varint(packet.jitter, 10_000);
      body.varint(packet.rate);
      body.varint(packet.cut, 600_000);
      return 0x68;
  }
}

function ascend(numbers: number[]): void {
  if (numbers.some((number, i) => i > 0 && number <= numbers[i - 1]!)) throw new RangeError("a list must ascend");
}

function event(kind: number, sent: { payload: Payload; droppable: boolean; term?: number }): number {
  body.payload(sent.payload);
  return kind + (typeof sent.payload === "string" ? 1 : 0) + (sent.droppable ? 2 : 0) + ("term" in sent ? 4 : 0);
}
