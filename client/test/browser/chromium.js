// Headless Chromium, driven: for what pages of ours look like and do.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";

// The browser's driver is that of the end-to-end tests.
const { chromium } = createRequire(new URL("../../../server/tests/clients/node/package.json", import.meta.url))("playwright-core");
const program = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** A browser that ends with the test; `open` makes a tab of its own, and no page may say that anything is wrong. */
export async function browser(t) {
  assert.ok(existsSync(program), `no browser at ${program}: scripts/test setup, or CHROMIUM=…`);
  const chrome = await chromium.launch({ executablePath: program, args: ["--no-sandbox", "--disable-gpu"] });
  const wrong = [];
  t.after(async () => {
    await chrome.close();
    assert.deepEqual(wrong, []);
  });
  return async function open(url, options) {
    const page = await (await chrome.newContext({ ...options })).newPage();
    page.on("pageerror", (error) => wrong.push(`${error}`));
    // Of a connection that breaks the browser itself says so.
    page.on("console", (line) => /Content Security Policy|SyntaxError/.test(line.text()) && wrong.push(line.text()));
    await page.goto(url);
    return page;
  };
}
