// What packets about the ticks of a room look like as bytes (docs/PROTOCOL.md, sections 4 and 5), beside all others. Pages that
// know no ticks do without it: to them these are packets to be skipped.
//
// Must not know: when a room ticks. Invariant: as for all packets, one encoding.

import { Reader } from "./bytes.js";
import { decode as decodeOthers, encode as encodeOthers, type HostDown, type HostUp } from "./hosts.js";
import type { Bundle } from "./packets.js";

/** A packet down about ticks. */
export type AboutTicks =
  /** `slack`: 2·µs that the last packets came before a tick, 2·µs + 1 after it. */
  | { packet: "PONG_TICKS"; echo: number; time: number; superseded: number; slack: number }
  | { packet: "TICK"; tick: number; time: number }
  /** In milliseconds. */
  | { packet: "AGED"; age: number };

/** A packet to the relay; of a PING, whether its answer is to be PONG_TICKS. */
export type TicksUp = HostUp & { ticks?: boolean };

/** As `decode` of the codec, but that neither what is about ticks nor round-trip times are UNKNOWN. */
export function decode(message: Uint8Array): Omit<Bundle, "packets"> & { packets: (HostDown | AboutTicks)[] } {
  const { covered, packets } = decodeOthers(message);
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

function about(kind: number, body: Reader): AboutTicks | undefined {
  switch (kind) {
    case 0x89:
      return {
        packet: "PONG_TICKS",
        echo: body.varint(),
        time: body.varint(),
        superseded: body.varint(),
        slack: body.varint(),
      };
    case 0xb8:
      return { packet: "TICK", tick: body.varint(), time: body.varint() };
    case 0xc0:
      return { packet: "AGED", age: body.varint() };
  }
  return undefined;
}

/** A packet as bytes of its own. Throws RangeError, in words, for what the protocol has no place for. */
export function encode(packet: TicksUp): Uint8Array {
  const bytes = encodeOthers(packet);
  if (packet.packet === "PING" && packet.ticks) bytes[0]! += 1;
  return bytes;
}
