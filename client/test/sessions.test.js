// The sessions of protocol/vectors, replayed step by step: the client machine without a network.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Client, Violation } from "../dist/core.js";
import { bytes, fromVector, packets, read } from "./vectors.js";

/** A JOIN of a vector, as what a client is made with. */
function options(join) {
  // kind, length, minor, mode, [token], then a name and neither properties nor wishes.
  const message = bytes(join);
  const token = message[0] & 1 ? message.slice(4, 20) : undefined;
  const name = Buffer.from(message.subarray(token ? 21 : 5, -1)).toString();
  return { name, minor: message[2], mode: message[3], token };
}

function told(news) {
  switch (news.packet) {
    case "WELCOME":
      return { welcome: news.id, dropped: news.dropped };
    case "RESUMED":
      return "resumed";
    case "RESET":
      return { reset: news.reason };
    case "TAIL":
      return { tail: news.said };
    default:
      return news;
  }
}

for (const { name, steps } of [...read("sessions"), ...read("hosts")]) {
  test(`session: ${name}`, () => {
    let client;
    let now = 0;
    let left = [];
    for (const [index, step] of steps.entries()) {
      const at = `step ${index}: ${JSON.stringify(step)}`;
      now = step.at ?? now;
      if (step.new) client = new Client(options(step.new));
      else if (step.open) client.opened(now);
      else if (step.transmits) {
        const messages = left;
        left = [];
        for (let message; (message = client.transmit(now)); ) messages.push(message);
        assert.deepEqual(messages.flatMap(packets), step.transmits.flatMap((message) => packets(bytes(message))), at);
      } else if (step.violation) {
        assert.throws(() => client.receive(bytes(step.receive), now), Violation, at);
      } else if (step.receive) {
        assert.deepEqual(client.receive(bytes(step.receive), now).map(told), fromVector(step.tells), at);
      } else if (step.send) {
        const number = client.send(fromVector(step.send));
        assert.equal(typeof number === "number" ? number : null, step.number, at);
      } else if ("wake" in step) assert.equal(client.wake(now), step.wake, at);
      else if ("closed" in step) assert.equal(client.closed(step.closed), step.next, at);
      else if (step.leave) left = client.leave(now);
      else assert.fail(at);
    }
  });
}
