// Drift, the demo: what of the game goes through the room, and what the player does.
//
// How ships stand is a state of each player (key 0), and so is its score (key 1): who comes later, or was gone for a while,
// knows all of it at once. Shots and hits are events: each must arrive. A ship that sees itself hit claims so to the host, who
// knows which shots there were and says to all what counts, each shot once. When the host is gone, the next one goes on.

import { join } from "/roomcast.js";
import { Hosting } from "/roomcast-host.js";
import { color, Field, Graph } from "/draw.js";
import { fly, follow, hits, launch, pack, SHOT_MS, shoot, Track, unpack } from "/world.js";

const SHIP = 0;
const SCORE = 1;
/** So often, in ms, a ship is told; how long it takes to load a shot, and to come back. */
const TELL_MS = 50;
const LOAD_MS = 230;
const DEAD_MS = 1_500;
const BAD = { delay: 120, jitter: 200, rate: 6_000 };
const COLOURS = ["#6ee7ff", "#ffc36e", "#ff7ab8"];

const $ = (id) => document.getElementById(id);
const field = new Field($("field"));
const touch = matchMedia("(pointer: coarse)").matches;

/** What the player wants: the last of pointer and keys that was used says it. */
class Hands {
  #keys = new Set();
  #pointer = null;
  #stick = null;
  #fire = false;

  constructor() {
    const known = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "KeyA", "KeyD", "KeyW", "Space"]);
    addEventListener("keydown", ({ code, target }) => {
      if (!known.has(code) || target.tagName === "INPUT") return;
      this.#keys.add(code);
      if (code !== "Space") this.#pointer = null;
    });
    addEventListener("keyup", ({ code }) => this.#keys.delete(code));
    addEventListener("blur", () => this.#keys.clear());
    const canvas = $("field");
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("pointerdown", (event) => {
      document.activeElement?.blur();
      if (event.pointerType === "mouse") this.#fire = true;
      // The first finger steers, a further one shoots.
      else if (this.#stick) this.#fire = true;
      else this.#stick = { id: event.pointerId, x: event.clientX, y: event.clientY, dx: 0, dy: 0, since: performance.now() };
    });
    addEventListener("pointermove", (event) => {
      if (this.#stick?.id === event.pointerId) {
        this.#stick.dx = event.clientX - this.#stick.x;
        this.#stick.dy = event.clientY - this.#stick.y;
      } else if (event.pointerType === "mouse") this.#pointer = { x: event.clientX, y: event.clientY };
    });
    for (const type of ["pointerup", "pointercancel"]) {
      addEventListener(type, (event) => {
        if (this.#stick?.id !== event.pointerId) {
          this.#fire = false;
          return;
        }
        // A tap alone shoots too.
        if (performance.now() - this.#stick.since < 200) this.tapped = true;
        this.#stick = null;
      });
    }
  }

  /** Whether to shoot; a tap counts once. */
  fires() {
    const tapped = this.tapped;
    this.tapped = false;
    return tapped || this.#fire || this.#keys.has("Space");
  }

  wants(ship) {
    const has = (...codes) => codes.some((code) => this.#keys.has(code));
    if (this.#stick) {
      const { dx, dy } = this.#stick;
      const far = Math.hypot(dx, dy);
      return { turn: 0, toward: far > 8 ? Math.atan2(dy, dx) : ship.angle, thrust: Math.min(1, Math.max(0, far - 8) / 60) };
    }
    if (this.#pointer) {
      const to = field.point(this.#pointer.x, this.#pointer.y);
      const far = Math.hypot(to.x - ship.x, to.y - ship.y);
      return { turn: 0, toward: Math.atan2(to.y - ship.y, to.x - ship.x), thrust: far < 60 ? 0 : Math.min(1, far / 350) };
    }
    const turn = (has("ArrowRight", "KeyD") ? 1 : 0) - (has("ArrowLeft", "KeyA") ? 1 : 0);
    return { turn, toward: null, thrust: has("ArrowUp", "KeyW") ? 1 : 0 };
  }
}

function say(text, forMs = 2_500) {
  const line = $("say");
  line.textContent = text;
  line.hidden = false;
  clearTimeout(say.timer);
  if (forMs < Infinity) say.timer = setTimeout(() => (line.hidden = true), forMs);
}

export class Game {
  shots = [];
  score = 0;
  #tracks = new Map();
  /** Shots that may hit, by who shot them and their number: a claim may come a little after its shot has ended. */
  #fired = new Map();
  #hands = new Hands();
  #graph = new Graph($("network").querySelector("canvas"), COLOURS);
  #loaded = 0;
  #told = 0;
  #back = 0;
  #last = performance.now();
  #ends = new AbortController();

  constructor(room) {
    this.room = room;
    this.score = Number(room.me.states.get(SCORE) ?? 0);
    // Of one's own states nobody needs to be told but the others; the score one also wants back after the page was loaded again.
    room.audience(SCORE, "all");
    for (const player of room.players.values()) this.#seen(player);
    this.ship = launch(this.others().map(({ ship }) => ship));
    room.on("state", ({ from, key }) => {
      if (from && key === SHIP) this.#seen(from);
      if (key === SCORE) this.#names();
    });
    room.on("message", (message) => this.#hear(message));
    room.on("host", (host) => {
      this.#names();
      if (host && room.players.size > 1) say(host === room.me ? "You are the host now: you say what hits" : `${host.name} is the host now`);
    });
    room.on("joined", ({ name }) => say(`${name} is here`));
    room.on("left", ({ id, name }) => {
      this.#tracks.delete(id);
      say(`${name} is gone`);
    });
    for (const event of ["joined", "left", "away", "back", "reset"]) room.on(event, () => this.#names());
    room.on("notice", (words) => say(words, 8_000));
    room.on("lost", () => say("The connection is gone. Fly on, it comes back …", Infinity));
    room.on("resumed", () => say("Back, and nothing was missed"));
    room.on("reset", () => {
      this.#tracks.clear();
      for (const player of room.players.values()) this.#seen(player);
      say("Back, in what the game is now");
    });
    room.on("refused", ({ reason }) => {
      if (reason !== "not offered") return;
      $("bad").setAttribute("aria-pressed", "false");
      say("This relay does not offer bad networks: start it with --allow-impairment");
    });
    const { signal } = this.#ends;
    $("bad").addEventListener("click", () => this.#impair($("bad").getAttribute("aria-pressed") !== "true"), { signal });
    $("cut").addEventListener("click", () => room.impair({ cut: 1 }), { signal });
    room.on("resumed", () => this.#impair(false));
    this.#names();
    const timer = setInterval(() => this.#measure(), 200);
    signal.addEventListener("abort", () => clearInterval(timer));
    const frame = (now) => {
      if (signal.aborted) return;
      this.#step(now);
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  end() {
    this.#ends.abort();
  }

  /** A bad network is for one connection: a new one is good again. */
  #impair(bad) {
    if ($("bad").getAttribute("aria-pressed") === String(bad)) return;
    $("bad").setAttribute("aria-pressed", String(bad));
    if (this.room.impair(bad ? BAD : {}) !== null && bad) say("The network of this tab is bad now");
  }

  #seen(player) {
    const ship = unpack(player.states.get(SHIP));
    if (!ship || player === this.room.me) return;
    if (!this.#tracks.has(player.id)) this.#tracks.set(player.id, new Track());
    this.#tracks.get(player.id).add(ship);
  }

  #hear({ data, from, asHost }) {
    const { shot, claim, hit, n, who } = JSON.parse(data);
    if (shot) this.#fire({ ...shot, id: from.id });
    if (claim !== undefined) this.#judge(claim, n, from);
    // Anybody may say so; the host alone is believed.
    if (hit === undefined || !asHost) return;
    this.shots = this.shots.filter((one) => one.id !== hit || one.n !== n);
    const [me, victim] = [this.room.me, this.room.players.get(who)];
    if (who === me.id && !this.ship.dead) this.#die(hit);
    const where = who === me.id ? this.ship : this.#tracks.get(who)?.newest;
    if (where) field.burst(where, color(who), 70);
    if (hit !== me.id) return;
    this.room.state(SCORE, `${++this.score}`);
    this.#names();
    say(`You got ${victim?.name ?? "somebody"}`);
  }

  #fire(shot) {
    this.shots.push(shot);
    for (const [key, { time }] of this.#fired) if (this.room.time() - time > 2 * SHOT_MS) this.#fired.delete(key);
    this.#fired.set(`${shot.id}/${shot.n}`, shot);
  }

  /** The host's: whether a shot hit who says so. One hits once, and nobody by its own. */
  #judge(claim, n, from) {
    if (this.room.host !== this.room.me || claim === from.id || !this.#fired.delete(`${claim}/${n}`)) return;
    this.room.send(JSON.stringify({ hit: claim, n, who: from.id }), { to: "all", asHost: true });
  }

  /** The others as they are shown: so far behind that there is mostly something newer to go by. */
  others() {
    const time = this.room.time() - TELL_MS - 40 - Math.min(200, 2 * this.room.stats().jitter);
    const all = [];
    for (const [id, track] of this.#tracks) {
      const player = this.room.players.get(id);
      if (player && track.newest) all.push({ ship: track.at(time), id, name: player.name, away: player.away });
    }
    return all;
  }

  #step(now) {
    const dt = Math.min(0.05, (now - this.#last) / 1000);
    this.#last = now;
    const { room, ship } = this;
    const time = room.time();
    const others = this.others();
    if (ship.dead && now >= this.#back) Object.assign(ship, launch(others.map((other) => other.ship)), { dead: false });
    if (!ship.dead) {
      const hit = fly(ship, this.#hands.wants(ship), others.filter((other) => !other.ship.dead).map((other) => other.ship), dt);
      if (hit > 80) {
        field.burst(ship, "#fff", 8, hit);
        field.shake(Math.min(10, hit / 50));
      }
      if (this.#hands.fires() && now >= this.#loaded) this.#shoot(now, time);
    }
    const flying = [];
    this.shots = this.shots.filter((shot) => {
      const at = follow(shot, time);
      if (at && shot.id !== room.me.id && !ship.dead && hits(at, ship)) {
        this.room.send(JSON.stringify({ claim: shot.id, n: shot.n }), { to: "host" });
        return false;
      }
      if (at) flying.push({ ...shot, ...at });
      return at;
    });
    if (now - this.#told >= TELL_MS) {
      this.#told = now;
      room.state(SHIP, pack(ship, time));
    }
    field.draw([...others, { ship, id: room.me.id, name: room.me.name, mine: true }], flying, dt);
  }

  #shoot(now, time) {
    this.#loaded = now + LOAD_MS;
    const shot = { ...shoot(this.ship, time), n: Math.round(now) };
    this.#fire({ ...shot, id: this.room.me.id });
    this.room.send(JSON.stringify({ shot }));
  }

  #die(id) {
    this.ship.dead = true;
    this.ship.vx = this.ship.vy = this.ship.thrust = 0;
    this.#back = performance.now() + DEAD_MS;
    field.shake(16);
    say(`${this.room.players.get(id)?.name ?? "Somebody"} got you`, DEAD_MS);
  }

  #names() {
    const list = $("names").firstElementChild;
    const score = (player) => (player === this.room.me ? this.score : Number(player.states.get(SCORE) ?? 0));
    const players = [...this.room.players.values()].sort((a, b) => score(b) - score(a) || a.id - b.id);
    list.replaceChildren(
      ...players.slice(0, 12).map((player) => {
        const line = document.createElement("li");
        line.style.setProperty("--color", color(player.id));
        line.classList.toggle("away", player.away);
        line.classList.toggle("host", player === this.room.host);
        if (player === this.room.host) line.title = "The host: says what hits";
        const name = document.createElement("span");
        name.className = "name";
        name.textContent = player === this.room.me ? `${player.name} (you)` : player.name;
        const points = document.createElement("span");
        points.textContent = score(player);
        line.append(name, points);
        return line;
      }),
    );
  }

  #measure() {
    const { roundTrip, jitter } = this.room.stats();
    const ages = [...this.#tracks].filter(([id]) => this.room.players.get(id)?.away === false);
    const age = Math.max(0, ...ages.map(([, track]) => this.room.time() - track.newest.time));
    this.#graph.add(roundTrip, jitter, age);
    [roundTrip, jitter, age].forEach((value, i) => ($("network").querySelectorAll("dd")[i].textContent = time(value)));
  }
}

/** So many milliseconds, in a few letters. */
const time = (ms) => (ms < 9.95 ? `${ms.toFixed(1)} ms` : ms < 999.5 ? `${ms.toFixed(0)} ms` : `${(ms / 1_000).toFixed(1)} s`);

const name = () => decodeURIComponent(location.hash.slice(1)).replace(/[^\w.~-]/g, "").slice(0, 64) || "arena";

async function enter(player, token) {
  const room = await join(`${location.origin.replace(/^http/, "ws")}/rooms/drift-${name().slice(0, 58)}`, { name: player, hosting: new Hosting(), ...(token && { token }) });
  const game = new Game(room);
  // For the console: have a look.
  globalThis.game = game;
  $("enter").hidden = true;
  for (const id of ["names", "top", "network"]) $(id).hidden = false;
  if (room.players.size === 1) say("Nobody is here yet: open this page once more, or invite somebody", 6_000);
  // Kept only while the page is loaded again: a second tab is a second player.
  const keep = () => sessionStorage.setItem("drift", JSON.stringify({ player, token: room.token, room: name() }));
  addEventListener("pagehide", keep);
  room.on("closed", ({ message }) => {
    removeEventListener("pagehide", keep);
    game.end();
    for (const id of ["names", "top", "network"]) $(id).hidden = true;
    $("enter").hidden = false;
    $("why").textContent = message;
    $("why").hidden = message === "this player has left";
  });
}

const fail = ({ message }) => {
  $("why").textContent = message;
  $("why").hidden = false;
};

COLOURS.forEach((colour, i) => ($("network").querySelectorAll("dt")[i].style.borderColor = colour));
if (touch) $("how").textContent = "One finger steers, tap or a second one shoots.";
$("name").value = localStorage.getItem("name") ?? "";
$("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  const player = $("name").value.trim();
  if (!player) return;
  localStorage.setItem("name", player);
  $("why").hidden = true;
  document.activeElement?.blur();
  enter(player).catch(fail);
});
$("leave").addEventListener("click", () => void globalThis.game.room.leave());
$("invite").addEventListener("click", async () => {
  location.hash = name();
  const shared = await navigator.clipboard?.writeText(location.href).then(() => true, () => false);
  say(shared ? "The address of this room is in your clipboard" : `Give them this address: ${location.href}`, shared ? 2_500 : 10_000);
});
addEventListener("hashchange", () => globalThis.game?.room.leave());

const before = JSON.parse(sessionStorage.getItem("drift") ?? "null");
sessionStorage.removeItem("drift");
if (before?.room === name()) enter(before.player, before.token).catch(fail);
else {
  field.draw([], [], 0);
  if (!touch) $("name").focus();
}
