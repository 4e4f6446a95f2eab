// Numbers, texts and lists as bytes (docs/PROTOCOL.md, section 3).
//
// Must not know: packets. Invariant: a reader never looks beyond its end, and what it returns of bytes are views.

import type { Pairs, Payload, Value } from "./packets.js";

const encoder = new TextEncoder();
// A byte order mark is a character like others, and what is not UTF-8 is malformed.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export const ID_MAX = 2 ** 32 - 1;
const VALUE_BYTES_MAX = 4096;
const NAME_BYTES_MAX = 64;
export const PROPERTIES_MAX = 64;
const CONTROL = /\p{Cc}/u;

/** Bytes that break the protocol. The message says how, in two words: who has to find the place needs the bytes anyway. */
export class Malformed extends Error {}
const SHORT = "too short";

export class Reader {
  #buffer: Uint8Array;
  #at = 0;
  #end: number;

  constructor(buffer: Uint8Array) {
    this.#buffer = buffer;
    this.#end = buffer.length;
  }

  get done(): boolean {
    return this.#at >= this.#end;
  }

  u8(): number {
    if (this.done) throw new Malformed(SHORT);
    return this.#buffer[this.#at++]!;
  }

  varint(max = Number.MAX_SAFE_INTEGER): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 8; i++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (byte === 0 && i > 0) throw new Malformed("not shortest");
        if (value > max) throw new Malformed("too large");
        return value;
      }
      scale *= 128;
    }
    throw new Malformed("too large");
  }

  /** A player, or the room, which is 0. */
  owner(): number {
    return this.varint(ID_MAX);
  }

  id(): number {
    const id = this.owner();
    if (id === 0) throw new Malformed("no player");
    return id;
  }

  bytes(length: number, how: "subarray" | "slice" = "subarray"): Uint8Array {
    if (length > this.#end - this.#at) throw new Malformed(SHORT);
    return this.#buffer[how](this.#at, (this.#at += length));
  }

  rest(how?: "slice"): Uint8Array {
    return this.bytes(this.#end - this.#at, how);
  }

  /** From here on there are only so many bytes; returns where the end was, which `finish` takes. */
  part(length: number): number {
    const end = this.#end;
    if (length > end - this.#at) throw new Malformed(SHORT);
    this.#end = this.#at + length;
    return end;
  }

  /** A name; `empty`: a raw player has none. */
  name(empty = false): string {
    const text = utf8(this.bytes(this.varint(NAME_BYTES_MAX)));
    if (text === "" && !empty) throw new Malformed("no name");
    if (CONTROL.test(text)) throw new Malformed("control character");
    return text;
  }

  value(): Value {
    const m = this.varint(2 * VALUE_BYTES_MAX + 2);
    if (m === 0) return null;
    const bytes = this.bytes((m - 1) >> 1);
    return (m - 1) & 1 ? utf8(bytes) : bytes;
  }

  /** A count, and as many. */
  list<T>(min: number, max: number, item: () => T): T[] {
    const count = this.varint(max);
    if (count < min) throw new Malformed("bad list");
    return Array.from({ length: count }, item);
  }

  pairs(): Pairs {
    const pairs: Pairs = [];
    let last = -1;
    while (!this.done) {
      const key = this.varint();
      if (key <= last) throw new Malformed("order");
      last = key;
      const value = this.varint();
      pairs.push([key, key % 2 ? this.bytes(value) : value]);
    }
    return pairs;
  }

  /** Nothing may be left before the end, which is this one then. */
  finish(end = this.#end): void {
    if (!this.done) throw new Malformed("too long");
    this.#end = end;
  }
}

export function utf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new Malformed("not UTF-8");
  }
}

/** Throws RangeError for fewer or more than there is room for. */
export function within(what: string, length: number, min: number, max: number): void {
  if (length < min || length > max) throw new RangeError(`${length} ${what}: ${min} to ${max} are possible`);
}

/** Grows as it is written; what does not fit the protocol is a RangeError, because the game gave it. */
export class Writer {
  #buffer = new Uint8Array(256);
  length = 0;

  #room(bytes: number): void {
    const needed = this.length + bytes;
    if (needed <= this.#buffer.length) return;
    const larger = new Uint8Array(Math.max(needed, 2 * this.#buffer.length));
    larger.set(this.#buffer);
    this.#buffer = larger;
  }

  u8(value: number): void {
    this.#room(1);
    this.#buffer[this.length++] = value;
  }

  varint(value: number, max = Number.MAX_SAFE_INTEGER): void {
    if (!(Number.isSafeInteger(value) && value >= 0 && value <= max)) {
      throw new RangeError(`${value} is no integer from 0 to ${max}`);
    }
    while (value >= 128) {
      this.u8((value % 128) + 128);
      value = Math.floor(value / 128);
    }
    this.u8(value);
  }

  id(id: number): void {
    if (id === 0) throw new RangeError("0 is the room: not a player's id");
    this.varint(id, ID_MAX);
  }

  payload(payload: Payload): void {
    if (typeof payload === "string") {
      this.#room(3 * payload.length);
      this.length += encoder.encodeInto(payload, this.#buffer.subarray(this.length)).written;
    } else {
      this.#room(payload.length);
      this.#buffer.set(payload, this.length);
      this.length += payload.length;
    }
  }

  name(what: string, name: string): void {
    const bytes = encoder.encode(name);
    if (bytes.length === 0 || bytes.length > NAME_BYTES_MAX || CONTROL.test(name)) {
      throw new RangeError(`${what} must be 1 to 64 bytes of UTF-8 without control characters: ${JSON.stringify(name)}`);
    }
    this.u8(bytes.length);
    this.payload(bytes);
  }

  value(key: string, value: Value): void {
    if (value === null) return this.u8(0);
    const text = typeof value === "string";
    const bytes = text ? encoder.encode(value) : value;
    within(`bytes in ${key}`, bytes.length, 0, VALUE_BYTES_MAX);
    this.varint(1 + 2 * bytes.length + (text ? 1 : 0));
    this.payload(bytes);
  }

  /** A list of properties: their keys differ, and none is more than the protocol takes. */
  properties<T extends { key: string }>(properties: T[], min: number, item: (property: T) => void): void {
    within("properties", properties.length, min, PROPERTIES_MAX);
    this.u8(properties.length);
    for (const property of properties) {
      this.name("the key of a property", property.key);
      item(property);
    }
  }

  pairs(pairs: Pairs): void {
    for (const [key, value] of pairs) {
      this.varint(key);
      if (typeof value === "number") {
        this.varint(value);
      } else if (typeof value === "string") {
        this.name("the tag", value);
      } else {
        this.varint(value.length);
        this.payload(value);
      }
    }
  }

  /** Adds what `other` holds. */
  append(other: Writer): void {
    this.payload(other.#buffer.subarray(0, other.length));
  }

  /** What was written, as bytes of their own; the writer is empty again. */
  take(): Uint8Array {
    const bytes = this.#buffer.slice(0, this.length);
    this.length = 0;
    return bytes;
  }
}
