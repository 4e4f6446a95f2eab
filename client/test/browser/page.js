// A page that does what a test asks of it, in any browser that can load it: it fetches an order, runs it, posts what came of it.
// Past the cache: a browser that asks both, cache and network, and takes what comes first, loses what the other had for it.

import * as roomcast from "/dist/index.js";

globalThis.roomcast = roomcast;
const page = new URLSearchParams(location.search).get("page");

for (;;) {
  const { id, code, args } = await (await fetch(`/order?page=${page}`, { cache: "no-store" })).json();
  let answer;
  try {
    answer = { value: await (0, eval)(`(${code})`)(...args) };
  } catch (error) {
    answer = { error: `${error}` };
  }
  await fetch(`/answer?page=${page}&id=${id}`, { method: "POST", body: JSON.stringify(answer) });
  if (answer.value === "reload") {
    location.reload();
    // The next order is for the page that comes then.
    await new Promise(() => {});
  }
}
