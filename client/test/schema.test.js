// Values as bytes: what a schema makes of them, and what it makes of what others send.

import assert from "node:assert/strict";
import { test } from "node:test";

import { json, numbers } from "../dist/schema.js";

test("numbers stand in their order, the lowest byte first, and come back", () => {
  const Ship = numbers({ x: "f32", hp: "u8", score: "i16" });
  const bytes = Ship.encode({ x: 1, hp: 200, score: -2 });
  assert.deepEqual([Ship.bytes, [...bytes]], [7, [0, 0, 128, 63, 200, 254, 255]]);
  assert.deepEqual(Ship.decode(bytes), { x: 1, hp: 200, score: -2 });
  // A view into a larger message, at an odd place.
  const message = new Uint8Array([9, ...bytes, 9]);
  const into = { x: 0, hp: 0, score: 0 };
  assert.equal(Ship.decode(message.subarray(1, 8), into), into);
  assert.deepEqual(into, { x: 1, hp: 200, score: -2 });
});

test("each kind has its bounds, and says so; whole numbers are rounded", () => {
  const bounds = { u8: [0, 255], u16: [0, 65_535], u32: [0, 2 ** 32 - 1], i8: [-128, 127], i16: [-32_768, 32_767], i32: [-(2 ** 31), 2 ** 31 - 1] };
  for (const [kind, [least, most]] of Object.entries(bounds)) {
    const One = numbers({ n: kind });
    for (const n of [least, most]) assert.deepEqual(One.decode(One.encode({ n })), { n }, kind);
    assert.deepEqual(One.decode(One.encode({ n: most - 0.6 })), { n: most - 1 }, kind);
    for (const n of [least - 1, most + 1, NaN, Infinity]) assert.throws(() => One.encode({ n }), new RangeError(`n: ${n} is no ${kind}, ${least} to ${most}`));
  }
  const Two = numbers({ a: "f32", b: "f64" });
  assert.deepEqual(Two.decode(Two.encode({ a: 0.5, b: 1e300 })), { a: 0.5, b: 1e300 });
  assert.throws(() => numbers({}), RangeError);
});

test("a list of them, as many as there are", () => {
  const { list } = numbers({ x: "i16", y: "i16" });
  const all = [{ x: 1, y: -1 }, { x: 300, y: 0 }];
  assert.deepEqual([...list.encode(all)], [1, 0, 255, 255, 44, 1, 0, 0]);
  assert.deepEqual(list.decode(list.encode(all)), all);
  assert.deepEqual(list.decode(list.encode([])), []);
});

test("what is not of a schema is null, whatever others send", () => {
  const Ship = numbers({ x: "f32", y: "f32" });
  for (const data of ["text", null, undefined, new Uint8Array(), new Uint8Array(7), new Uint8Array(16)]) assert.equal(Ship.decode(data), null);
  for (const data of ["text", null, undefined, new Uint8Array(7)]) assert.equal(Ship.list.decode(data), null);
  const Move = json((value) => typeof value?.from === "string");
  for (const data of ["{", "", "null", "{}", '{"from":1}', new Uint8Array(2), null, undefined]) assert.equal(Move.decode(data), null);
});

test("JSON is a text", () => {
  const Move = json();
  assert.equal(Move.encode({ from: "e2", to: "e4" }), '{"from":"e2","to":"e4"}');
  assert.deepEqual(Move.decode('{"from":"e2"}'), { from: "e2" });
  assert.throws(() => Move.encode(undefined), RangeError);
});
