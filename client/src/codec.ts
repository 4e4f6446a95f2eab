// What packets look like as bytes (docs/PROTOCOL.md, sections 3 to 5).
//
// Must not know: what a session allows when. Invariant: a bundle is decoded whole or is Malformed.

import { ID_MAX, Malformed, PROPERTIES_MAX, Reader, utf8, Writer } from "./bytes.js";
import type { Bundle, Down, Payload, Property, Up } from "./packets.js";

const LIST_MAX = 256;

export function decode(message: Uint8Array): Bundle {
  const reader = new Reader(message);
  const bundle: Bundle = { covered: reader.varint("covered"), packets: [] };
  while (!reader.done) {
    const kind = reader.u8("the kind");
    const body = reader.part("the body", reader.varint("the length"));
    bundle.packets.push(packet(kind, body));
    body.finish();
  }
  return bundle;
}

function packet(kind: number, body: Reader): Down {
  // An event has three flags, all others are told by their whole kind.
  if (kind >= 0x08 && kind <= 0x0f) {
    const author = body.id("the author");
    return {
      packet: "EVENT",
      author,
      host: (kind & 2) !== 0,
      addressed: (kind & 4) !== 0,
      payload: payload(body, (kind & 1) !== 0),
    };
  }
  switch (kind) {
    case 0x10:
    case 0x11:
    case 0x12:
    case 0x13: {
      const [author, key] = [body.owner("the author"), body.varint("the key", ID_MAX)];
      return { packet: "STATE", author, key, host: kind > 0x11, payload: payload(body, (kind & 1) !== 0) };
    }
    case 0x18:
      return { packet: "REMOVED", author: body.owner("the author"), key: body.varint("the key", ID_MAX) };
    case 0x19:
      return { packet: "REMOVED_ALL" };
    case 0x20:
    case 0x21:
      return {
        packet: "WELCOME",
        created: kind === 0x21,
        minor: body.varint("the minor version"),
        capabilities: body.varint("the capabilities"),
        life: body.bytes("the life", 8),
        id: body.id("the id"),
        token: body.bytes("the token", 16),
        seq: body.varint("seq"),
        applied: body.varint("applied"),
        time: body.varint("the time"),
        limits: body.pairs(),
      };
    case 0x28:
      return { packet: "SETTINGS", settings: body.pairs() };
    case 0x30:
    case 0x31:
      return { packet: "PLAYER", id: body.id("the id"), name: body.name("the name", true), away: kind === 0x31 };
    case 0x38:
      return { packet: "READY" };
    case 0x40: {
      const joined = { id: body.id("the id"), name: body.name("the name", true), properties: properties(body, 0) };
      if (joined.properties.some(({ value }) => value === null)) throw new Malformed("a property without a value");
      return { packet: "JOINED", ...joined };
    }
    case 0x48:
      return { packet: "LEFT", id: body.id("the id"), reason: body.varint("the reason") };
    case 0x50:
      return { packet: "AWAY", id: body.id("the id") };
    case 0x58:
      return { packet: "BACK", id: body.id("the id") };
    case 0x60:
      return {
        packet: "PROPERTIES",
        owner: body.owner("the owner"),
        author: body.owner("the author"),
        changes: properties(body, 1),
      };
    case 0x68:
      return { packet: "RESUMED", applied: body.varint("applied"), time: body.varint("the time") };
    case 0x70:
      return { packet: "RESET", reason: body.varint("the reason") };
    case 0x78:
      return {
        packet: "REFUSED",
        number: body.varint("the number"),
        reason: body.varint("the reason"),
        detail: utf8("the detail", body.rest()),
      };
    case 0x79: {
      const [key, reason] = [body.varint("the key", ID_MAX), body.varint("the reason")];
      return { packet: "REFUSED_STATE", key, reason, detail: utf8("the detail", body.rest()) };
    }
    case 0x80:
      return { packet: "ACK", applied: body.varint("applied") };
    case 0x88:
      return { packet: "PONG", echo: body.varint("the echo"), time: body.varint("the time") };
    case 0x90:
      return { packet: "KEEPALIVE", time: body.varint("the time") };
    default:
      return { packet: "UNKNOWN", kind, body: body.rest() };
  }
}

function payload(body: Reader, text: boolean): Payload {
  const bytes = body.rest();
  return text ? utf8("the payload", bytes) : bytes;
}

function properties(body: Reader, min: number): Property[] {
  const list = body.list("the list", min, PROPERTIES_MAX, () => ({
    key: body.name("the key"),
    version: body.varint("the version"),
    value: body.value(),
  }));
  if (new Set(list.map(({ key }) => key)).size < list.length) throw new Malformed("a key twice");
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
  whole.varint("the length", body.length);
  whole.append(body);
  return whole.take();
}

/** Writes the body, returns the kind. */
function write(packet: Up): number {
  switch (packet.packet) {
    case "EVENT_OTHERS":
      return event(0x08, packet);
    case "EVENT_ALL":
      return event(0x10, packet);
    case "EVENT_ONE":
      body.id(packet.to);
      return event(0x18, packet);
    case "EVENT_GROUP":
      body.varint("a group", packet.group, ID_MAX);
      return event(0x30, packet);
    case "EVENT_LIST": {
      const { to } = packet;
      if (to.length === 0 || to.length > LIST_MAX) throw new RangeError(`a list of ${to.length} players: 1 to 256`);
      if (to.some((id, i) => i > 0 && id <= to[i - 1]!)) throw new RangeError("the ids of a list must ascend");
      body.varint("the count", to.length);
      for (const id of to) body.id(id);
      return event(0x20, packet);
    }
    case "JOIN":
      body.varint("the minor version", packet.minor);
      if (!(packet.mode >= 0 && packet.mode <= 2)) throw new RangeError(`no such mode: ${packet.mode}`);
      body.u8(packet.mode);
      if (packet.token) body.payload(packet.token);
      if (packet.life) {
        body.payload(packet.life);
        body.varint("seq", packet.seq!);
      }
      body.name("the name", packet.name);
      body.properties(packet.properties, 0, ({ key, value }) => body.value(key, value));
      body.pairs(packet.wishes);
      return 0x48 + (packet.token ? 1 : 0) + (packet.life ? 2 : 0);
    case "LEAVE":
      return 0x50;
    case "PROPERTIES":
      body.varint("the owner", packet.owner);
      body.properties(packet.changes, 1, ({ key, guard, value }) => {
        body.varint("the guard", guard);
        body.value(key, value);
      });
      return 0x58;
    case "STATE":
      body.varint("a key", packet.key, ID_MAX);
      body.payload(packet.payload);
      return 0x38 + (typeof packet.payload === "string" ? 1 : 0) + (packet.room ? 2 : 0);
    case "DELETE":
      body.varint("a key", packet.key, ID_MAX);
      return packet.room ? 0x42 : 0x40;
    case "AUDIENCE":
      body.varint("a key", packet.key, ID_MAX);
      body.varint("the flags", packet.flags, 15);
      if ((packet.flags & 3) === 2) body.varint("a group", packet.group!, ID_MAX);
      return 0x70;
    case "GROUPS": {
      const { groups, only } = packet;
      if (groups.length > LIST_MAX || (groups.length === 0 && !only)) throw new RangeError(`${groups.length} groups: 1 to 256`);
      if (groups.some(([group], i) => i > 0 && group <= groups[i - 1]![0])) throw new RangeError("groups must ascend");
      for (const [group, within] of groups) {
        body.varint("a group", group, ID_MAX);
        body.varint("in", within, 1);
      }
      return only ? 0x79 : 0x78;
    }
    case "PING":
      body.varint("the echo", packet.echo);
      body.varint("the trip", packet.trip);
      return 0x60;
    case "IMPAIR":
      body.varint("the delay", packet.delay, 10_000);
      body.varint("the jitter", packet.jitter, 10_000);
      body.varint("the rate", packet.rate);
      body.varint("the cut", packet.cut, 600_000);
      return 0x68;
  }
}

function event(kind: number, { payload, droppable }: { payload: Payload; droppable: boolean }): number {
  body.payload(payload);
  return kind + (typeof payload === "string" ? 1 : 0) + (droppable ? 2 : 0);
}
