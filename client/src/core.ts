// The sans-IO core by itself: for tests, other carriers, and ports to other languages.

export { Malformed } from "./bytes.js";
export { Client, Violation, type ClientOptions, type News } from "./client.js";
export { encode, type Act, type HostUp, type Trips } from "./hosts.js";
export { decode, type AboutTicks } from "./ticks.js";
export { next, type Next } from "./ends.js";
export type * from "./packets.js";
