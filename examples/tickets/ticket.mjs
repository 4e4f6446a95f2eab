// A ticket (docs/OPERATIONS.md, "Tickets"), made where players log in. Nothing to install.
//
//   node ticket.mjs KEY-FILE SUB ROOM…     for example: node ticket.mjs /etc/roomcast/tickets.key ada lobby 'match-*'

import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";

export function ticket(secret, sub, rooms, seconds = 300) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const exp = Math.floor(Date.now() / 1000) + seconds;
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub, rooms, exp })}`;
  const signature = createHmac("sha256", secret).update(signed).digest("base64url");
  return `${signed}.${signature}`;
}

const [file, sub, ...rooms] = process.argv.slice(2);
if (rooms.length === 0) {
  console.error("usage: node ticket.mjs KEY-FILE SUB ROOM…");
  process.exit(2);
}
// One line break at its end is the editor's, not the secret's.
const secret = readFileSync(file, "latin1").replace(/\r?\n$/, "");
console.log(ticket(Buffer.from(secret, "latin1"), sub, rooms));
