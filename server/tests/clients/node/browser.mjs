// Headless Chromium as players: one page for each, the server's own `/healthz` (`/` has players of its own), in one browser.
// A browser cannot fragment and cannot ping, so those orders fail. Takes the browser's program as its
// only argument.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { chromium } from 'playwright-core';
import { obey } from './puppet.mjs';

const profile = mkdtempSync(joinPath(tmpdir(), 'roomcast-chromium-'));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.argv[2] ?? 'chromium',
  headless: true,
  // A relay's page may forbid scripts of its own to connect elsewhere; what is tested here is the socket.
  bypassCSP: true,
  args: [
    '--no-sandbox', // Chromium refuses to run as root with its sandbox, and CI is root
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
});

/** Runs in the page. */
function openSocket(url) {
  const base64 = (bytes) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
  const socket = new WebSocket(url);
  socket.binaryType = 'arraybuffer';
  socket.onopen = () => report('open');
  socket.onclose = ({ code }) => report('closed', code);
  socket.onerror = async () => {
    report('failed', 'the browser says no more than that');
    // So a page asks by fetch, here one of another origin: localhost is not 127.0.0.1.
    const same = url.replace(/^ws/, 'http').replace('127.0.0.1', 'localhost');
    const answer = await fetch(same).catch(() => null);
    if (answer) report('failed', `${answer.status} ${(await answer.text()).trim()}`);
  };
  socket.onmessage = ({ data }) => {
    const text = typeof data === 'string';
    const bytes = text ? new TextEncoder().encode(data) : new Uint8Array(data);
    report('message', text ? 'text' : 'binary', base64(bytes));
  };
  globalThis.socket = socket;
}

/** Runs in the page. */
function sendBytes([kind, encoded]) {
  const bytes = Uint8Array.from(atob(encoded), (char) => char.charCodeAt(0));
  globalThis.socket.send(kind === 'text' ? new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes) : bytes);
}

const cannot = (what) => () => {
  throw new Error(`a browser cannot ${what}`);
};

await obey(async (url, report) => {
  const page = await browser.newPage();
  page.on('pageerror', report.failed);
  await page.exposeFunction('report', (what, ...words) => {
    if (what === 'message') report.message(words[0], Buffer.from(words[1], 'base64'));
    else report[what](...words);
  });
  const home = new URL(url);
  home.protocol = home.protocol === 'wss:' ? 'https:' : 'http:';
  home.pathname = '/healthz';
  const response = await page.goto(home.href);
  if (response.status() !== 200) throw new Error(`/healthz has status ${response.status()}`);
  await page.evaluate(openSocket, url);
  return {
    send: (kind, bytes) => page.evaluate(sendBytes, [kind, bytes.toString('base64')]),
    fragments: cannot('fragment a message'),
    ping: cannot('ping'),
    close: (code, reason) => page.evaluate(([c, r]) => globalThis.socket.close(c, r), [code, reason]),
  };
});
await browser.close();
rmSync(profile, { recursive: true, force: true });
