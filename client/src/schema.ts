// The entry `roomcast/schema`: values of a game as bytes, for who wants that. Nothing else of this package knows of it.
//
// Must not know: rooms. Invariant: what others sent never throws: what is not of a schema is null.

import type { Payload } from "./packets.js";

/** How values become what is sent, and back. */
export interface Schema<T> {
  /** Throws RangeError for what it has no place for. */
  encode(value: T): Payload;
  /** Null for what is no such value: it is from others, who may send whatever they like. */
  decode(data: Payload | null | undefined): T | null;
}

/** What a number takes: whole ones, with or without a sign, or such as have a fraction; and how many bits. */
export type NumberKind = "u8" | "u16" | "u32" | "i8" | "i16" | "i32" | "f32" | "f64";

/** Numbers under names, always in as many bytes. */
export interface Numbers<K extends string> extends Schema<Record<K, number>> {
  /** How many they are. */
  readonly bytes: number;
  /** Whole numbers are rounded. Throws RangeError for a number that its kind has no place for. */
  encode(value: Readonly<Record<K, number>>): Uint8Array;
  /** With `into` the numbers are put there, and nothing is made anew. */
  decode(data: Payload | null | undefined, into?: Record<K, number>): Record<K, number> | null;
  /** As many of them as there are, one after the other. */
  readonly list: Schema<readonly Readonly<Record<K, number>>[]>;
}

const WHOLE = /^([ui])(\d+)$/;
const KINDS = {
  u8: [1, "Uint8"],
  u16: [2, "Uint16"],
  u32: [4, "Uint32"],
  i8: [1, "Int8"],
  i16: [2, "Int16"],
  i32: [4, "Int32"],
  f32: [4, "Float32"],
  f64: [8, "Float64"],
} as const;

/**
 * A schema of numbers: `const Ship = numbers({ x: "f32", y: "f32", hp: "u8" })`, then `room.state(0, Ship.encode(ship))` and
 * `Ship.decode(data)`. They stand in this order, the lowest byte first.
 */
export function numbers<K extends string>(kinds: Readonly<Record<K, NumberKind>>): Numbers<K> {
  const fields: { key: K; kind: NumberKind; at: number }[] = [];
  let bytes = 0;
  for (const key in kinds) {
    fields.push({ key, kind: kinds[key], at: bytes });
    bytes += KINDS[kinds[key]][0];
  }
  if (bytes === 0) throw new RangeError("a schema of numbers needs one at least");

  const write = (view: DataView, from: number, value: Readonly<Record<K, number>>): void => {
    for (const { key, kind, at } of fields) {
      const number = value[key];
      view[`set${KINDS[kind][1]}`](from + at, WHOLE.test(kind) ? whole(key, kind, number) : number, true);
    }
  };
  const read = (view: DataView, from: number, into: Record<K, number>): Record<K, number> => {
    for (const { key, kind, at } of fields) into[key] = view[`get${KINDS[kind][1]}`](from + at, true);
    return into;
  };
  /** The bytes to read from, if they are so many, or a multiple. */
  const view = (data: Payload | null | undefined): DataView | null =>
    data instanceof Uint8Array && data.length % bytes === 0 ? new DataView(data.buffer, data.byteOffset, data.length) : null;

  return {
    bytes,
    encode(value) {
      const made = new Uint8Array(bytes);
      write(new DataView(made.buffer), 0, value);
      return made;
    },
    decode(data, into = {} as Record<K, number>) {
      const from = view(data);
      return from?.byteLength === bytes ? read(from, 0, into) : null;
    },
    list: {
      encode(values) {
        const made = new Uint8Array(bytes * values.length);
        const to = new DataView(made.buffer);
        values.forEach((value, i) => write(to, i * bytes, value));
        return made;
      },
      decode(data) {
        const from = view(data);
        return from && Array.from({ length: from.byteLength / bytes }, (_, i) => read(from, i * bytes, {} as Record<K, number>));
      },
    },
  };
}

function whole(key: string, kind: NumberKind, number: number): number {
  const [, sign, bits] = WHOLE.exec(kind)!;
  const span = 2 ** Number(bits);
  const least = sign === "i" ? -span / 2 : 0;
  const rounded = Math.round(number);
  // NaN is nowhere.
  if (!(rounded >= least && rounded < least + span)) throw new RangeError(`${key}: ${number} is no ${kind}, ${least} to ${least + span - 1}`);
  return rounded;
}

/**
 * Values as JSON, in a text: `const Move = json<{ from: string; to: string }>()`. With `is`, only those of which it says that they are
 * such; without, others may send anything that is JSON.
 */
export function json<T>(is: (value: unknown) => boolean = () => true): Schema<T> {
  return {
    encode(value) {
      const text = JSON.stringify(value) as string | undefined;
      if (text === undefined) throw new RangeError(`${String(value)} is nothing in JSON`);
      return text;
    },
    decode(data) {
      if (typeof data !== "string") return null;
      try {
        const value: unknown = JSON.parse(data);
        return is(value) ? (value as T) : null;
      } catch {
        return null;
      }
    },
  };
}
