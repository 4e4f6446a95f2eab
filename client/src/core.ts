// The sans-IO core by itself: for tests, other carriers, and ports to other languages.

export { Malformed } from "./bytes.js";
export { decode, encode } from "./codec.js";
export type * from "./packets.js";
