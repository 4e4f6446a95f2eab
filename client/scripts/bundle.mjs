// Makes the bundles, for pages without a build of their own: dist/roomcast.min.js, and one for each further entry.
//
// What only this package names is called by a letter in them, the same letter in both. What games name, and browsers, is not in
// the list: a name that is both stays as it is.

import { writeFileSync } from "node:fs";

import { build } from "esbuild";
import { minify } from "terser";

const OWN = [
  // Of bytes and codec.
  ["u8", "varint", "part", "rest", "finish", "list", "value", "pairs", "done", "take", "append", "bytes", "packets", "covered"],
  // Of packets and news.
  ["packet", "payload", "body", "kind", "only", "flags", "guard", "said", "given", "created", "minor", "capabilities", "life", "seq", "applied", "limits", "changes", "echo"],
  // Of the core.
  ["transmit", "receive", "opened", "closed", "wake", "probe", "due", "packetMax", "messageMax", "clock", "cursor"],
  ["sample", "reset", "offset", "trip", "waiting", "next", "unknown", "goes", "arrived", "restart", "audiences", "after", "asks", "allows", "sent", "wrote", "hear"],
  // Of link and room.
  ["flush", "apply", "news", "lost", "ended"],
];

// Texts that are compared and never shown.
const TOKENS = [
  ...["EVENT_OTHERS", "EVENT_ALL", "EVENT_ONE", "EVENT_LIST", "EVENT_GROUP", "EVENT_HOST", "DELETE", "AUDIENCE", "GROUPS", "PING", "IMPAIR", "JOIN", "LEAVE"],
  ...["ACK", "PONG", "KEEPALIVE", "UNKNOWN", "TAIL"],
  ...["Idle", "Joining", "Welcomed", "Live", "Resetting", "Lost", "Ended"],
  ...["resume later", "resume", "stop", "promised", "tail", "kept", "full"],
];

let mangleCache = {};
/** The last three say nothing to the first but by names that games know, and have names of their own. */
const ENTRIES = [
  ["index", "roomcast", true],
  ["host", "roomcast-host", true],
  ["align", "roomcast-ticks", true],
  ["find", "roomcast-find", false],
  ["schema", "roomcast-schema", false],
  ["carriers", "roomcast-carriers", false],
];

/** What joins rooms is loaded once, from beside. */
const beside = {
  name: "beside",
  setup: ({ onResolve }) => onResolve({ filter: /^\.\/index\.js$/ }, () => ({ path: "./roomcast.js", external: true })),
};

for (const [entry, name, mangled] of ENTRIES) {
  const bundle = await build({
    entryPoints: [`dist/${entry}.js`],
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    ...(mangled && { mangleProps: new RegExp(`^(${OWN.flat().join("|")})$`), mangleCache }),
    write: false,
    plugins: [beside],
  });
  mangleCache = bundle.mangleCache ?? mangleCache;
  // Squeezed once more: esbuild does not look at an expression twice.
  const source = TOKENS.reduce((text, token, i) => text.replaceAll(`"${token}"`, `"${i.toString(36)}"`), bundle.outputFiles[0].text);
  const { code } = await minify(source, {
    ecma: 2022,
    module: true,
    compress: { passes: 3, ecma: 2022, pure_getters: true, keep_fargs: false },
  });
  writeFileSync(`dist/${name}.min.js`, `${code}\n`);
}
