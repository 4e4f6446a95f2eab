// The newest values of this player's keys, and which of them the relay may not have (docs/PROTOCOL.md, section 7).
//
// Owns: keys, their newest packets, who gets them. Must not know: pace, messages, what others said.
// Invariant: what is written of a key is its newest value, never before a numbered packet that was sent earlier; and of this
// player's own keys, what a lost connection may have lost is written again.

import { within } from "./bytes.js";
import { encode } from "./codec.js";
import type { Numbered, Stated } from "./packets.js";

/** What a kept value costs beside its bytes, about. */
const KEPT_BYTES = 64;

type Audience = Extract<Numbered, { packet: "AUDIENCE" }>;

interface Own {
  bytes: Uint8Array;
  packet: Stated;
  /** How many numbered packets were sent before it, of whichever player. */
  after: number;
  /** When it was written on the present connection; Infinity: it waits; -Infinity: the relay has it. */
  wrote: number;
}

/** A player's keys and the room's, in one range. */
const whose = (key: number, room: boolean): number => (room ? 2 ** 32 + key : key);
const about = ({ key, flags }: Audience): number => whose(key, (flags & 8) !== 0);
const cost = (own: Own | undefined): number => (own ? own.bytes.length + KEPT_BYTES : 0);

export class States {
  #all = new Map<number, Own>();
  /** Whose turn it is, the first one first: a newer value does not lose its place. */
  #waiting = new Set<number>();
  #bytes = 0;
  #audiences = new Map<number, Audience>();

  get waiting(): boolean {
    return this.#waiting.size > 0;
  }

  /** Takes a value, or the end of one; false if that would be more than `max` bytes to keep. Throws RangeError. */
  set(packet: Stated, after: number, packetMax: number, max: number): boolean {
    const own = { bytes: encode(packet), packet, after, wrote: Infinity };
    within("bytes in a packet", own.bytes.length, 0, packetMax);
    const id = whose(packet.key, packet.room);
    const bytes = this.#bytes - cost(this.#all.get(id)) + cost(own);
    if (bytes > max) return false;
    this.#bytes = bytes;
    this.#all.set(id, own);
    this.#waiting.add(id);
    return true;
  }

  /** The next that waits, if it has at most `room` bytes. `written`: how many numbered packets have been by now. */
  next(now: number, written: number, room: number): Uint8Array | undefined {
    for (const id of this.#waiting) {
      const own = this.#all.get(id)!;
      if (own.after > written) continue;
      if (own.bytes.length > room) return;
      own.wrote = now;
      this.#waiting.delete(id);
      return own.bytes;
    }
    return;
  }

  /** What the relay may not have of a key: it has to go ahead of who gets that key. */
  unknown(audience: Audience): Uint8Array | undefined {
    const own = this.#all.get(about(audience));
    return own && own.wrote > -Infinity ? own.bytes : undefined;
  }

  /** An audience is on its way, with what was unknown of its key, and is sent again for as long as it takes. */
  goes(audience: Audience): void {
    const id = about(audience);
    if ((audience.flags & 8) === 0) this.#audiences.set(id, audience);
    this.#waiting.delete(id);
    const own = this.#all.get(id);
    if (own) own.wrote = -Infinity;
  }

  /** What was written before this time has arrived. */
  arrived(before: number): void {
    for (const [id, own] of this.#all) {
      if (own.wrote < before) own.wrote = -Infinity;
      if (own.wrote === -Infinity && own.packet.packet === "DELETE") this.#forget(id, own);
    }
  }

  /** A new connection: what the last one may have lost waits again. But somebody may have written the room's keys since. */
  lost(): void {
    for (const [id, own] of this.#all) {
      if (own.wrote > -Infinity && own.wrote < Infinity) this.#again(id, own);
    }
  }

  /** Somebody new, who has no keys yet: all values of its own wait, until so many numbered packets have been sent. */
  restart(after: number): void {
    for (const [id, own] of this.#all) {
      if (own.packet.room || own.packet.packet === "DELETE") this.#forget(id, own);
      else {
        own.after = after;
        this.#again(id, own);
      }
    }
  }

  /** Whom own keys go to, where that was said. */
  get audiences(): Iterable<Audience> {
    return this.#audiences.values();
  }

  #again(id: number, own: Own): void {
    own.wrote = own.packet.room ? -Infinity : Infinity;
    if (!own.packet.room) this.#waiting.add(id);
  }

  #forget(id: number, own: Own): void {
    this.#all.delete(id);
    this.#waiting.delete(id);
    this.#bytes -= cost(own);
  }
}
