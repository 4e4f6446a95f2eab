// What packets look like as bytes that only the host of a room sends or gets (docs/PROTOCOL.md, sections 4 and 5), beside all
// others. Most pages do without them.
//
// Must not know: who is the host. Invariant: as for all packets, one encoding.

import { Malformed, Reader, Writer } from "./bytes.js";
import { decode as decodePlain, encode as encodePlain } from "./codec.js";
import type { Bundle, Down, Up } from "./packets.js";

/** Round-trip times of players, read. */
export type Trips = { packet: "TRIPS"; trips: [id: number, micros: number][] };

/** What only the host does, in the `term` in which it believes that it is, and whether somebody would be it. */
export type Act =
  | { packet: "WILLING"; willing: boolean; visible: boolean }
  | { packet: "HAND_OVER" | "KICK"; term: number; id: number }
  | { packet: "LOCK"; term: number; locked: boolean }
  | { packet: "CLOSE" | "TRIPS"; term: number }
  /** `seq`: the last entry that is in it. */
  | { packet: "SNAPSHOT"; term: number; seq: number; state: Uint8Array };

/** A packet to the relay; `term`: it is sent as the host of this term. */
export type HostUp = Act | (Up & { term?: number });

/** A packet from the relay, round-trip times read. */
export type HostDown = Exclude<Down, { packet: "TRIPS" }> | Trips;

/** As `decode` of the codec, with round-trip times read. */
export function decode(message: Uint8Array): Omit<Bundle, "packets"> & { packets: HostDown[] } {
  const { covered, packets } = decodePlain(message);
  return { covered, packets: packets.map(read) };
}

function read(packet: Down): HostDown {
  if (packet.packet === "TRIPS") return { packet: "TRIPS", trips: times(packet.trips) };
  return packet;
}

/** Throws Malformed. */
export function times(bytes: Uint8Array): Trips["trips"] {
  const body = new Reader(bytes);
  const trips: Trips["trips"] = [];
  for (let last = 0; !body.done; last = trips.at(-1)![0]) {
    trips.push([body.id(), body.varint()]);
    if (trips.at(-1)![0] <= last) throw new Malformed("the ids do not ascend");
  }
  return trips;
}

const KINDS = {
  WILLING: 0x80,
  HAND_OVER: 0x88,
  KICK: 0x90,
  LOCK: 0x98,
  CLOSE: 0xa0,
  SNAPSHOT: 0xa8,
  TRIPS: 0xb0,
};

/** A packet as bytes of its own. Throws RangeError, in words, for what the protocol has no place for. */
export function encode(packet: HostUp): Uint8Array {
  const body = new Writer();
  const term = "term" in packet ? packet.term : undefined;
  const kind = packet.packet in KINDS ? act(packet as Act, body) : plain(packet as Up, term, body);
  const whole = new Writer();
  whole.u8(kind);
  whole.varint(body.length);
  whole.append(body);
  return whole.take();
}

/** Writes the body, returns the kind. */
function act(packet: Act, body: Writer): number {
  if ("term" in packet) body.varint(packet.term);
  const kind = KINDS[packet.packet];
  switch (packet.packet) {
    case "WILLING":
      body.u8((packet.willing ? 1 : 0) + (packet.visible ? 2 : 0));
      break;
    case "HAND_OVER":
    case "KICK":
      body.id(packet.id);
      break;
    case "LOCK":
      body.u8(packet.locked ? 1 : 0);
      break;
    case "SNAPSHOT":
      body.varint(packet.seq);
      body.payload(packet.state);
      break;
  }
  return kind;
}

/** The same of a packet that anybody may send; of events, the codec itself knows which are a host's. */
function plain(packet: Up, term: number | undefined, body: Writer): number {
  const reader = new Reader(encodePlain(packet));
  const kind = reader.u8();
  reader.varint();
  body.payload(reader.rest());
  return kind + (term === undefined || packet.packet.startsWith("EVENT") ? 0 : 4);
}
