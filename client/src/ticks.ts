// What packets about the ticks of a room look like as bytes (docs/PROTOCOL.md, section 4), beside all others. Pages that
// know no ticks do without it: to them these are packets to be skipped.
//
// Must not know: when a room ticks. Invariant: as for all packets, one encoding.

import { Reader } from "./bytes.js";
import { decode as decodeOthers, type HostDown } from "./hosts.js";
import type { Bundle } from "./packets.js";

/** A packet down about ticks. */
export type AboutTicks =
  /** `slack`: 2·µs that the last packets came before a tick, 2·µs + 1 after it. */
  | { packet: "PONG_TICKS"; echo: number; time: number; superseded: number; slack: number }
  | { packet: "TICK"; tick: number; time: number }
  /** In milliseconds. */
  | { packet: "AGED"; age: number };

/** As `decode` of the codec, but that what is about ticks is not UNKNOWN. */
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

export function about(kind: number, body: Reader): AboutTicks | undefined {
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
