// The demo, as the relay serves it, played in headless Chromium: two pages, one of them cut off and back.

import assert from "node:assert/strict";
import { test } from "node:test";

import { browser } from "./browser/chromium.js";
import { network, relay } from "./relay.js";

const limits = { timeout: 180_000 };

/** Enters the game under this name. */
async function play(page, name) {
  await page.fill("#name", name);
  await page.click("#enter button");
  await page.waitForFunction(() => globalThis.game);
  return page;
}

const names = (page) => page.evaluate(() => [...globalThis.game.room.players.values()].map(({ name }) => name));
const sees = (page, what) => page.waitForFunction(what);

test("two play; one is cut off and comes back, and nothing was missed", limits, async (t) => {
  const address = await relay(t, "--demo");
  const wire = await network(t, address);
  const open = await browser(t);
  const ada = await play(await open(`http://${address}/demo`), "Ada");
  const bob = await play(await open(`http://${wire.address}/demo`), "Bob");
  assert.deepEqual(await names(bob), ["Ada", "Bob"]);
  // Who comes later sees at once where the other is.
  await sees(bob, () => globalThis.game.others().length === 1);

  // Bob steers with keys, and Ada sees that ship move.
  await sees(ada, () => globalThis.game.others().length === 1);
  const before = await ada.evaluate(() => globalThis.game.others()[0].ship);
  await bob.keyboard.down("ArrowUp");
  await ada.waitForFunction(({ x, y }) => Math.hypot(globalThis.game.others()[0].ship.x - x, globalThis.game.others()[0].ship.y - y) > 30, before);
  await bob.keyboard.up("ArrowUp");

  wire.cut();
  await sees(bob, () => /connection is gone/.test(document.getElementById("say").textContent));
  await sees(ada, () => globalThis.game.others()[0].away);
  // Meanwhile Bob shoots: that arrives later.
  await bob.keyboard.press("Space", { delay: 100 });
  wire.restore();
  await sees(bob, () => globalThis.game.room.stats().resumes === 1);
  await sees(ada, () => !globalThis.game.others()[0].away);
  assert.equal(await bob.evaluate(() => globalThis.game.room.stats().resets), 0);
});

test("a shot that hits counts for who shot, and who comes later sees the score", limits, async (t) => {
  const address = await relay(t, "--demo");
  const open = await browser(t);
  const ada = await play(await open(`http://${address}/demo`), "Ada");
  const bob = await play(await open(`http://${address}/demo`), "Bob");
  await sees(ada, () => globalThis.game.others().length === 1);
  // Where no rock is: nose to nose.
  const place = (page, x, angle) =>
    page.evaluate(([x, angle]) => Object.assign(globalThis.game.ship, { x, y: 60, vx: 0, vy: 0, angle, dead: false }), [x, angle]);
  await place(bob, 400, Math.PI);
  await place(ada, 200, 0);
  await ada.keyboard.down("Space");
  await sees(ada, () => globalThis.game.score > 0);
  await ada.keyboard.up("Space");
  await sees(bob, () => globalThis.game.ship.dead);
  await sees(bob, () => globalThis.game.ship.dead === false);
  const cy = await play(await open(`http://${address}/demo`), "Cy");
  assert.match(await cy.locator("#names li").first().textContent(), /^Ada[1-9]/);
});

test("the host's tab is killed: the next one is the host, and the game goes on", limits, async (t) => {
  const address = await relay(t, "--demo");
  const open = await browser(t);
  const ada = await play(await open(`http://${address}/demo`), "Ada");
  const bob = await play(await open(`http://${address}/demo`), "Bob");
  const cy = await play(await open(`http://${address}/demo`), "Cy");
  assert.match(await cy.locator("#names li.host").textContent(), /^Ada/);
  await ada.close();
  await sees(bob, () => globalThis.game.room.host === globalThis.game.room.me);
  await sees(cy, () => document.querySelector("#names li.host")?.textContent.startsWith("Bob"));
  // Who is hit says so to the new host, who says that it counts.
  const place = (page, x, angle) =>
    page.evaluate(([x, angle]) => Object.assign(globalThis.game.ship, { x, y: 60, vx: 0, vy: 0, angle, dead: false }), [x, angle]);
  await place(bob, 400, Math.PI);
  await place(cy, 200, 0);
  await cy.keyboard.down("Space");
  await sees(cy, () => globalThis.game.score > 0);
  await cy.keyboard.up("Space");
  await sees(bob, () => globalThis.game.ship.dead);
});

test("loaded again the page is the same player; a bad network is told by the graph, and back to normal", limits, async (t) => {
  const address = await relay(t, "--demo");
  const open = await browser(t);
  const ada = await play(await open(`http://${address}/demo#den`), "Ada");
  const bob = await play(await open(`http://${address}/demo#den`), "Bob");
  await bob.reload();
  await bob.waitForFunction(() => globalThis.game);
  assert.deepEqual(await bob.evaluate(() => [globalThis.game.room.me.id, globalThis.game.room.me.name]), [2, "Bob"]);
  assert.deepEqual(await names(ada), ["Ada", "Bob"]);

  await bob.click("#bad");
  // The shortest of the last eight: until then all of them were late.
  await bob.waitForFunction(() => globalThis.game.room.stats().roundTrip >= 120, null, { timeout: 150_000 });
  await bob.click("#bad");
  await bob.click("#cut");
  await sees(bob, () => globalThis.game.room.stats().resumes === 1);
  await bob.click("#leave");
  await sees(ada, () => globalThis.game.room.players.size === 1);
  assert.equal(await bob.locator("#enter").isVisible(), true);
});

test("on a phone a finger steers and a tap shoots", limits, async (t) => {
  const address = await relay(t, "--demo");
  const open = await browser(t);
  const page = await play(await open(`http://${address}/demo`, { viewport: { width: 390, height: 780 }, hasTouch: true, isMobile: true }), "Cy");
  await page.touchscreen.tap(195, 500);
  await sees(page, () => globalThis.game.shots.length > 0);
  for (const id of ["#names", "#top", "#network"]) {
    const { x, y, width, height } = await page.locator(id).boundingBox();
    assert.ok(x >= 0 && y >= 0 && x + width <= 390 && y + height <= 780, `${id} is on the screen`);
  }
});

test("the start page: what two say in one room, side by side", limits, async (t) => {
  const address = await relay(t);
  const open = await browser(t);
  const page = await open(`http://${address}/`);
  await page.waitForFunction(() => document.querySelectorAll(".pane")[1]?.querySelector("h3").textContent === "Bob, Ada");
  assert.equal(await page.locator("#ready").textContent(), "Up, and takes players.");
  assert.equal(await page.locator("#demo").isVisible(), false);
  await page.locator(".pane input").first().fill("hello");
  await page.locator(".pane input").first().press("Enter");
  await page.waitForFunction(() => document.querySelectorAll(".pane")[1].textContent.includes("Ada: hello"));
  assert.match(await page.locator("pre").first().textContent(), new RegExp(`ws://${address}/rooms/lobby`));
});
