// The browsers of the tests, each by its own program and with a profile of its own. None is driven: a page asks what to do.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join as path } from "node:path";

import { give } from "./serve.js";

const found = (...programs) => programs.find((program) => existsSync(program));
const miniBrowser = () => found("/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser", "/usr/lib/x86_64-linux-gnu/webkit2gtk-4.0/MiniBrowser");

/** An NSS database that trusts this authority. */
function trust(folder, ca) {
  mkdirSync(folder, { recursive: true });
  execFileSync("certutil", ["-d", `sql:${folder}`, "-N", "--empty-password"]);
  if (ca) execFileSync("certutil", ["-d", `sql:${folder}`, "-A", "-t", "C,,", "-n", "roomcast", "-i", ca]);
}

/** How each is started; null: it is not installed. */
export const BROWSERS = {
  chromium(home, ca) {
    const program = process.env.CHROMIUM ?? found("/usr/bin/chromium");
    if (!program) return null;
    trust(path(home, ".pki/nssdb"), ca);
    return [program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", `--user-data-dir=${home}/profile`];
  },
  firefox(home, ca) {
    const program = found("/usr/bin/firefox-esr", "/usr/bin/firefox");
    if (!program) return null;
    const profile = path(home, "profile");
    trust(profile, ca);
    writeFileSync(path(profile, "user.js"), 'user_pref("browser.shell.checkDefaultBrowser", false);user_pref("datareporting.policy.dataSubmissionEnabled", false);');
    return [program, "--headless", "--no-remote", "--profile", profile];
  },
  webkit() {
    const program = miniBrowser();
    if (!program || !existsSync("/usr/bin/xvfb-run")) return null;
    // Whom it trusts is the system's alone to say, and this is no place to change that.
    return ["/usr/bin/xvfb-run", "-a", program, "--ignore-tls-errors"];
  },
};

/** Chromium with a window, of which one tab hides the other, and is taken for long hidden after ten seconds. */
function hiding(home) {
  const command = BROWSERS.chromium(home);
  if (!command || !existsSync("/usr/bin/xvfb-run")) return null;
  const flags = command.filter((flag) => flag !== "--headless");
  return ["/usr/bin/xvfb-run", "-a", ...flags, "--disable-popup-blocking", "--enable-features=IntensiveWakeUpThrottling:grace_period_seconds/10"];
}

/**
 * Starts a browser, and serves it the page. Returns `open(name)`, which waits until the page is there (or there again) and
 * returns what runs a function in it. All ends with the test. Null if the browser is not installed.
 */
export async function launch(t, name, ca) {
  const home = mkdtempSync(path(tmpdir(), `roomcast-${name}-`));
  const command = { ...BROWSERS, hiding }[name](home, ca);
  if (!command) return null;
  const orders = new Map();
  const waiting = new Map();
  const answers = new Map();
  const server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url, "http://x");
    const page = searchParams.get("page");
    if (pathname === "/order") {
      const give = (order) => response.setHeader("content-type", "application/json").setHeader("cache-control", "no-store").end(JSON.stringify(order));
      // Who does not wait any more is given nothing: the order is for who asks again.
      response.on("close", () => waiting.get(page) === give && waiting.delete(page));
      const order = orders.get(page)?.shift();
      if (order) give(order);
      else waiting.set(page, give);
    } else if (pathname === "/answer") {
      let body = "";
      for await (const part of request) body += part;
      answers.get(searchParams.get("id"))?.(JSON.parse(body));
      response.end();
    } else {
      give(pathname, response);
    }
  });
  // A connection is never idle for too long: one that closes while a page posts its answer loses it.
  server.keepAliveTimeout = 0;
  await once(server.listen(0, "127.0.0.1"), "listening");
  const address = `http://127.0.0.1:${server.address().port}/browser/page.html`;
  const program = spawn(command[0], [...command.slice(1), `${address}?page=first`], { env: { ...process.env, HOME: home }, stdio: "ignore", detached: true });
  const ended = once(program, "exit");
  t.after(async () => {
    // The whole group: a browser is many processes.
    process.kill(-program.pid, "SIGKILL");
    await ended;
    server.closeAllConnections();
    server.close();
    rmSync(home, { recursive: true, force: true, maxRetries: 5 });
  });
  let last = 0;
  /** Runs in that page, with the module as `roomcast`. */
  const run = (page) => (what, ...args) => {
    const order = { id: `${++last}`, code: `${what}`, args };
    const answer = new Promise((resolve, reject) => {
      answers.set(order.id, ({ value, error }) => (error ? reject(new Error(error)) : resolve(value)));
    });
    const give = waiting.get(page);
    waiting.delete(page);
    if (give) give(order);
    else orders.set(page, [...(orders.get(page) ?? []), order]);
    return answer;
  };
  return { address, page: run };
}
