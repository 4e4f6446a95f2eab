// What a relay would say, as bytes: enough of the packets down to play one.

const varint = (n) => (n < 128 ? [n] : [(n % 128) + 128, ...varint(Math.floor(n / 128))]);
const text = (string) => {
  const bytes = [...Buffer.from(string)];
  return [...varint(bytes.length), ...bytes];
};
const packet = (kind, ...body) => {
  const bytes = body.flat();
  return [kind, ...varint(bytes.length), ...bytes];
};

export const LIFE = [1, 2, 3, 4, 5, 6, 7, 8];
export const TOKEN = Array.from({ length: 16 }, (_, i) => i);

export const bundle = (covered, ...packets) => new Uint8Array([...varint(covered), ...packets.flat()]);

export const welcome = ({ id = 1, life = LIFE, seq = 0, applied = 0, time = 0, capabilities = 0, limits = [] } = {}) =>
  packet(0x20, 0, varint(capabilities), life, varint(id), TOKEN, varint(seq), varint(applied), varint(time), limits.flat().flatMap(varint));
export const event = (author, string) => packet(0x09, varint(author), [...Buffer.from(string)]);
export const settings = (...pairs) => packet(0x28, pairs.flat().flatMap(varint));
export const player = (id, name) => packet(0x30, varint(id), text(name));
export const ready = () => packet(0x38);
export const joined = (id, name) => packet(0x40, varint(id), text(name), 0);
export const left = (id, reason = 0) => packet(0x48, varint(id), reason);
export const properties = (owner, author, key, version, value) =>
  packet(0x60, varint(owner), varint(author), 1, text(key), varint(version), varint(2 + 2 * value.length), [...Buffer.from(value)]);
export const resumed = (applied, time = 0) => packet(0x68, varint(applied), varint(time));
export const reset = (reason) => packet(0x70, reason);
export const refused = (number, reason, detail = "") => packet(0x78, varint(number), varint(reason), [...Buffer.from(detail)]);
export const ack = (applied) => packet(0x80, varint(applied));
export const pong = (echo, time) => packet(0x88, varint(echo), varint(time));
export const keepalive = (time) => packet(0x90, varint(time));
export const pongTicks = (echo, time, superseded, slack) => packet(0x89, varint(echo), varint(time), varint(superseded), varint(slack));
export const tick = (number, time) => packet(0xb8, varint(number), varint(time));
export const aged = (ms) => packet(0xc0, varint(ms));
