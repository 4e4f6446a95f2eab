// What pages of tests load: this package as built, and the files of this folder.

import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join as path } from "node:path";
import { fileURLToPath } from "node:url";

const client = fileURLToPath(new URL("../..", import.meta.url));
const TYPES = { ".js": "text/javascript", ".html": "text/html" };

/** Answers a request for such a file, or with 404. */
export function give(pathname, response) {
  const file = pathname.startsWith("/dist/") ? path(client, pathname) : path(client, "test", pathname);
  if (!/^\/(dist|browser)\/[\w.]+$/.test(pathname) || !existsSync(file)) return response.writeHead(404).end();
  response.setHeader("content-type", TYPES[extname(file)]).end(readFileSync(file));
}

/** A server of them that ends with the test; returns its address. */
export async function serve(t) {
  const server = createServer(({ url }, response) => give(new URL(url, "http://x").pathname, response));
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}`;
}
