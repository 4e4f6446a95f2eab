// What packets about the host of a room look like as bytes (docs/PROTOCOL.md, sections 4 and 5), beside all others. Pages that
// know no hosts do without it.
//
// Must not know: who is the host. Invariant: as for all packets, one encoding.

import { Malformed, Reader, Writer } from "./bytes.js";
import { decode as decodePlain, encode as encodePlain } from "./codec.js";
import type { Bundle, Down, Payload, Up } from "./packets.js";

/** A packet down about the host. */
export type AboutHost =
  /** `given`: a snapshot follows, if the host is oneself. */
  | { packet: "HOST"; term: number; id: number; given: boolean }
  | { packet: "LOCKED"; locked: boolean }
  /** `cut`: what was said since is not all there. */
  | { packet: "SNAPSHOT"; seq: number; state: Uint8Array; cut: boolean }
  | { packet: "SNAPSHOT_WANTED"; term: number }
  | { packet: "TRIPS"; trips: [id: number, micros: number][] };

/** What anybody sends to the host, or only the host does, in the `term` in which it believes that it is. */
export type Act =
  | { packet: "EVENT_HOST"; term?: number; payload: Payload; droppable: boolean }
  | { packet: "WILLING"; willing: boolean; visible: boolean }
  | { packet: "HAND_OVER" | "KICK"; term: number; id: number }
  | { packet: "LOCK"; term: number; locked: boolean }
  | { packet: "CLOSE" | "TRIPS"; term: number }
  | { packet: "SNAPSHOT"; term: number; seq: number; state: Uint8Array };

/** A packet to the relay; `term`: it is sent as the host of this term. */
export type HostUp = Act | (Up & { term?: number });

/** As `decode` of the codec, but that what is about hosts is not UNKNOWN. */
export function decode(message: Uint8Array): Omit<Bundle, "packets"> & { packets: (Down | AboutHost)[] } {
  const { covered, packets } = decodePlain(message);
  return {
    covered,
    packets: packets.map((packet) => {
      if (packet.packet !== "UNKNOWN") return packet;
      const body = new Reader(packet.body);
      const known = about(packet.kind, body);
      if (known) body.finish();
      return known ?? packet;
    }),
  };
}

function about(kind: number, body: Reader): AboutHost | undefined {
  const flag = (kind & 1) > 0;
  switch (kind) {
    case 0x98:
    case 0x99:
      return { packet: "HOST", term: body.varint(), id: body.owner(), given: flag };
    case 0xa0:
    case 0xa1:
      return { packet: "LOCKED", locked: flag };
    case 0xa8:
    case 0xa9:
      return { packet: "SNAPSHOT", seq: body.varint(), state: body.rest(), cut: flag };
    case 0xb0:
      return { packet: "SNAPSHOT_WANTED", term: body.varint() };
    case 0xc8: {
      const trips: [number, number][] = [];
      for (let last = 0; !body.done; last = trips.at(-1)![0]) {
        trips.push([body.id(), body.varint()]);
        if (trips.at(-1)![0] <= last) throw new Malformed("the ids do not ascend");
      }
      return { packet: "TRIPS", trips };
    }
  }
  return undefined;
}

const KINDS = {
  EVENT_HOST: 0x28,
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
  if (term !== undefined) body.varint(term);
  const kind = packet.packet in KINDS ? act(packet as Act, body) : plain(packet as Up, term !== undefined, body);
  const whole = new Writer();
  whole.u8(kind);
  whole.varint(body.length);
  whole.append(body);
  return whole.take();
}

/** Writes what follows the term, returns the kind. */
function act(packet: Act, body: Writer): number {
  const kind = KINDS[packet.packet];
  switch (packet.packet) {
    case "EVENT_HOST": {
      const { payload, droppable, term } = packet;
      body.payload(payload);
      return kind + (typeof payload === "string" ? 1 : 0) + (droppable ? 2 : 0) + (term === undefined ? 0 : 4);
    }
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

/** The same of a packet that anybody may send. */
function plain(packet: Up, asHost: boolean, body: Writer): number {
  const reader = new Reader(encodePlain(packet));
  const kind = reader.u8();
  reader.varint();
  body.payload(reader.rest());
  return kind + (asHost ? 4 : 0);
}
