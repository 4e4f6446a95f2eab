// protocol/vectors, read: its packets as the codec has them.

import { readFileSync } from "node:fs";

export const read = (name) => JSON.parse(readFileSync(new URL(`../../protocol/vectors/${name}.json`, import.meta.url), "utf8"));
export const bytes = (hex) => new Uint8Array(Buffer.from(hex, "hex"));
export const hex = (bytes) => Buffer.from(bytes).toString("hex");

// The vectors' packets are the codec's, but that bytes are hexadecimal in them.
const RAW = new Set(["life", "token", "body", "state"]);

export function fromVector(value, key) {
  if (RAW.has(key)) return bytes(value);
  if (Array.isArray(value)) return value.map((item) => fromVector(item));
  if (value === null || typeof value !== "object") return value;
  if ("text" in value) return value.text;
  if ("hex" in value) return bytes(value.hex);
  return Object.fromEntries(Object.entries(value).map(([key, value]) => [key, fromVector(value, key)]));
}

/** The packets of a message up: where they begin and how long they are is all there is to know. */
export function packets(message) {
  const found = [];
  for (let at = 0; at < message.length; ) {
    let end = at + 1;
    let length = 0;
    for (let scale = 1; ; scale *= 128) {
      length += (message[end] & 127) * scale;
      if (message[end++] < 128) break;
    }
    end += length;
    found.push(hex(message.subarray(at, end)));
    at = end;
  }
  return found;
}
