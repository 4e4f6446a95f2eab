// A relay of its own for each test, and a network before it that can be cut: a proxy that stalls or resets.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, request as ask } from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export const target = process.env.CARGO_TARGET_DIR ?? fileURLToPath(new URL("../../target", import.meta.url));
const program = process.env.ROOMCAST ?? `${target}/debug/roomcast`;

/** Starts a relay on a free port; it ends with the test. Returns its address. */
export async function relay(t, ...flags) {
  return start(t, "ws", ["--listen", "127.0.0.1:0", ...flags], process.env);
}

/** A relay whose operator may say something. Returns its address, and what runs `roomcast admin` with these words. */
export async function operated(t) {
  const folder = mkdtempSync(path.join(tmpdir(), "roomcast-admin-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const at = `unix:${path.join(folder, "admin")}`;
  const address = await relay(t, "--admin", at);
  return { address, admin: (...words) => execFileSync(program, ["admin", "--at", at, ...words], { stdio: ["ignore", "ignore", "inherit"] }) };
}

/** The same over wss, with a certificate for localhost. `ca`: the file of the authority behind it. */
export async function secureRelay(t) {
  const folder = mkdtempSync(path.join(tmpdir(), "roomcast-ca-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const env = { ...process.env, ROOMCAST_DATA_DIR: folder };
  const ca = path.join(folder, "authority.pem");
  writeFileSync(ca, execFileSync(program, ["dev-cert", "--print-ca"], { env, stdio: ["ignore", "pipe", "ignore"] }));
  return { ca, address: await start(t, "wss", ["--listen", "none", "--dev-tls", "--listen-tls", "127.0.0.1:0"], env) };
}

async function start(t, scheme, flags, env) {
  const relay = spawn(program, flags, { stdio: ["ignore", "ignore", "pipe"], env });
  const ended = once(relay, "exit");
  t.after(async () => {
    relay.kill("SIGKILL");
    await ended;
  });
  for await (const line of createInterface(relay.stderr)) {
    const address = new RegExp(`listening on ${scheme}://(\\S+)`).exec(line)?.[1];
    if (!address) continue;
    relay.stderr.resume();
    return address;
  }
  throw new Error(`no relay: is there a program at ${program}? (cargo build -p roomcast)`);
}

/** A network between a client and `address`. */
export async function network(t, address) {
  const pairs = new Set();
  /** Connections of a time at which nothing is answered. */
  const mute = new Set();
  const wire = { up: true, silent: false };
  const server = net.createServer((near) => {
    if (!wire.up) return near.resetAndDestroy();
    if (wire.silent) {
      mute.add(near);
      return near.on("error", () => {}).on("close", () => mute.delete(near)).pause();
    }
    const [host, port] = address.split(":");
    const far = net.connect({ host, port: Number(port) });
    const pair = [near, far];
    pairs.add(pair);
    for (const [from, to] of [pair, [far, near]]) {
      from.on("error", () => {});
      from.on("close", () => {
        pairs.delete(pair);
        to.destroy();
      });
      from.pipe(to);
    }
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => {
    server.close();
    for (const socket of [...pairs, ...mute].flat()) socket.destroy();
  });
  return Object.assign(wire, {
    address: `127.0.0.1:${server.address().port}`,
    /** Connections are reset, further ones refused, until `restore`. */
    cut() {
      wire.up = false;
      for (const pair of pairs) pair.forEach((socket) => socket.resetAndDestroy());
    },
    restore() {
      wire.up = true;
    },
    /** Connections are reset, and further ones go to another relay. */
    move(to) {
      address = to;
      wire.cut();
      wire.restore();
    },
    /** What is on the connections of now is lost, and nobody hears of it; with true those of further ones too, until false. */
    silence(on) {
      wire.silent = on ?? false;
      if (on === false) return;
      for (const socket of [...pairs].flat()) socket.unpipe().pause();
    },
    /** What goes up or down from here on is lost, and nobody hears of it; the other way all is well. */
    half(way) {
      for (const [near, far] of pairs) (way === "up" ? near : far).unpipe().resume();
    },
  });
}

/**
 * A proxy before `address` that does not do with WebSockets as it should: it refuses them, never answers, or lets nothing through that
 * follows, until `how` is "pass". Other requests it forwards, and counts.
 */
export async function proxy(t, address, how = "refuse") {
  const wire = { how, requests: 0, preflights: 0, upgrades: 0 };
  const sockets = new Set();
  const [host, port] = address.split(":");
  const server = createServer((request, response) => {
    wire.requests++;
    if (wire.how === "down") return request.socket.resetAndDestroy();
    const { method, url, headers } = request;
    if (method === "OPTIONS") wire.preflights++;
    const forwarded = ask({ host, port, method, path: url, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.rawHeaders);
      answer.pipe(response);
    });
    forwarded.on("error", () => request.socket.destroy());
    response.on("close", () => forwarded.destroy());
    request.pipe(forwarded);
  });
  server.on("connection", (socket) => sockets.add(socket.on("error", () => {}).on("close", () => sockets.delete(socket))));
  server.on("upgrade", ({ method, url, rawHeaders }, near) => {
    wire.upgrades++;
    if (wire.how === "hang") return;
    if (wire.how === "refuse" || wire.how === "down") return near.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    const far = net.connect({ host, port: Number(port) });
    sockets.add(far.on("error", () => {}).on("close", () => (sockets.delete(far), near.destroy())));
    near.on("close", () => far.destroy());
    const fields = rawHeaders.map((part, i) => part + (i % 2 ? "\r\n" : ": ")).join("");
    far.write(`${method} ${url} HTTP/1.1\r\n${fields}\r\n`);
    far.pipe(near);
    if (wire.how !== "mute") near.pipe(far);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return Object.assign(wire, {
    address: `127.0.0.1:${server.address().port}`,
    /** Does with further WebSockets like this, and resets what there is. */
    become(how) {
      wire.how = how;
      for (const socket of sockets) socket.resetAndDestroy();
    },
  });
}

/** The next time that it happens. */
export const happens = (room, event) =>
  new Promise((resolve) => {
    const off = room.on(event, (...args) => {
      off();
      resolve(args.length > 1 ? args : args[0]);
    });
  });
