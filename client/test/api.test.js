// The page of the types is made from the types of today.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { api } from "../scripts/api.mjs";

test("API.md is what the types say", () => {
  const made = api(fileURLToPath(new URL("../dist", import.meta.url)));
  assert.ok(made.includes("### Hosting") && made.includes("### quickMatch") && made.includes("### Ticks") && made.includes("### numbers") && !made.includes("@internal"));
  assert.equal(readFileSync(new URL("../API.md", import.meta.url), "utf8"), made, "not what the types say: npm run api");
});
