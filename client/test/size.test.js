// What a page has to load.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

for (const name of ["roomcast", "roomcast-host"]) {
  test(`the relay serves this bundle: ${name}`, () => {
    const [ours, served] = [`../dist/${name}.min.js`, `../../server/src/shard/pages/${name}.js`].map((path) => readFileSync(new URL(path, import.meta.url), "utf8"));
    assert.ok(ours === served, "not what these sources make: npm run bundle");
  });
}

test("the bundle is at most 10 KiB, gzipped", (t) => {
  const { length } = gzipSync(readFileSync(new URL("../dist/roomcast.min.js", import.meta.url)), { level: 9 });
  t.diagnostic(`${length} bytes`);
  assert.ok(length > 1_000 && length <= 10 * 1024, `${length} bytes`);
});
