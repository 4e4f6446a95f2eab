// The packets of protocol/vectors, both ways.

import assert from "node:assert/strict";
import { test } from "node:test";

import { decode, encode, Malformed } from "../dist/core.js";
import { bytes, fromVector, hex, read } from "./vectors.js";

const valid = [...read("up"), ...read("down"), ...read("examples")];
assert.ok(valid.filter(({ way }) => way === "up").length > 40 && valid.filter(({ way }) => way === "down").length > 40);

for (const { name, way, bytes: message, means } of valid) {
  test(`${way}: ${name}`, () => {
    if (way === "up") {
      assert.equal(fromVector(means).map((packet) => hex(encode(packet))).join(""), message);
    } else {
      assert.deepEqual(decode(bytes(message)), fromVector(means));
    }
  });
}

for (const { name, bytes: message } of read("malformed").filter(({ way }) => way === "down")) {
  test(`malformed: ${name}`, () => {
    assert.throws(() => decode(bytes(message)), Malformed);
  });
}

test("a payload is a view of its message", () => {
  const message = bytes("00080401010203");
  const [event] = decode(message).packets;
  assert.equal(event.payload.buffer, message.buffer);
  assert.equal(event.payload.byteOffset, 4);
});

test("what the protocol has no place for is refused in words", () => {
  const event = { packet: "EVENT_LIST", payload: "", droppable: false };
  const join = { packet: "JOIN", minor: 0, mode: 0, name: "Ada", properties: [], wishes: [] };
  const change = { key: "k", guard: 0, value: "" };
  for (const [packet, words] of [
    [{ ...event, to: [] }, /0 players: 1 to 256/],
    [{ ...event, to: Array.from({ length: 257 }, (_, i) => i + 1) }, /257 players/],
    [{ ...event, to: [2, 1] }, /must ascend/],
    [{ ...event, to: [2, 2] }, /must ascend/],
    [{ ...event, to: [0, 2] }, /not a player's id/],
    [{ ...event, to: [2 ** 32] }, /no integer from 0 to 4294967295/],
    [{ ...event, packet: "EVENT_ONE", to: 1.5 }, /no integer/],
    [{ ...join, name: "" }, /1 to 64 bytes/],
    [{ ...join, name: "ß".repeat(33) }, /1 to 64 bytes/],
    [{ ...join, name: "a\u0085" }, /control characters/],
    [{ ...join, mode: 3 }, /3 is no integer from 0 to 2/],
    [{ packet: "PROPERTIES", owner: 0, changes: [] }, /0 properties/],
    [{ packet: "PROPERTIES", owner: 0, changes: [{ ...change, value: "x".repeat(4097) }] }, /4097 bytes/],
    [{ packet: "PROPERTIES", owner: 0, changes: Array.from({ length: 65 }, (_, i) => ({ ...change, key: `${i}` })) }, /65/],
    [{ packet: "STATE", key: 2 ** 32, room: false, payload: "" }, /4294967295/],
    [{ packet: "DELETE", key: -1, room: false }, /4294967295/],
    [{ packet: "GROUPS", only: false, groups: [] }, /0 groups/],
    [{ packet: "GROUPS", only: true, groups: [[2, 1], [1, 1]] }, /must ascend/],
    [{ packet: "AUDIENCE", key: 1, flags: 16 }, /15/],
    [{ packet: "AUDIENCE", key: 1, flags: 2 }, /undefined is no integer/],
    [{ packet: "IMPAIR", delay: 10_001, jitter: 0, rate: 0, cut: 0 }, /10000/],
  ]) {
    assert.throws(() => encode(packet), (error) => error instanceof RangeError && words.test(error.message), `${words}`);
  }
});

test("a byte order mark is a character like others", () => {
  assert.equal(decode(bytes("000905" + "01" + "efbbbf61")).packets[0].payload, "\ufeffa");
});
