// The world of the demo: how ships, shots and rocks move, and how a ship looks as bytes.
//
// Must not know: rooms, pages. Units are pixels of the world, seconds, radians; times are milliseconds of the relay's clock.

export const WIDTH = 2400;
export const HEIGHT = 1500;
export const RADIUS = 20;
export const SHOT_MS = 1_300;
const SHOT_SPEED = 820;
const THRUST = 760;
const TURN = 7.5;
const DRAG = 1.1;
/** How far beyond what was last said of a ship it is guessed, in ms. */
const GUESS_MS = 250;

/** The same everywhere: from a row of numbers that only looks random. */
export const ROCKS = Array.from({ length: 13 }, (_, i) => {
  const noise = (n) => {
    const x = Math.sin((i + 1) * 127.1 + n * 311.7) * 43_758.5;
    return x - Math.floor(x);
  };
  return { x: 200 + noise(1) * (WIDTH - 400), y: 180 + noise(2) * (HEIGHT - 360), radius: 34 + noise(3) * 58, turn: noise(4) * 6, shape: noise };
});

const distance = (a, b) => Math.hypot(a.x - b.x, a.y - b.y);
/** The shortest way from one direction to another. */
export const arc = (from, to) => Math.atan2(Math.sin(to - from), Math.cos(to - from));
const clamp = (value, most) => Math.max(-most, Math.min(most, value));

/** A ship at a place where nothing is in its way. */
export function launch(others) {
  for (;;) {
    const ship = { x: 80 + Math.random() * (WIDTH - 160), y: 80 + Math.random() * (HEIGHT - 160), vx: 0, vy: 0, angle: Math.random() * 6, thrust: 0 };
    const free = ROCKS.every((rock) => distance(rock, ship) > rock.radius + 60) && others.every((other) => distance(other, ship) > 120);
    if (free) return ship;
  }
}

/** Lets a ship fly for `dt`, pushed by rocks, walls and `others`. Returns how hard it was hit. */
export function fly(ship, { turn, toward, thrust }, others, dt) {
  ship.angle += toward === null ? turn * TURN * 0.6 * dt : clamp(arc(ship.angle, toward), TURN * dt);
  ship.thrust = thrust;
  ship.vx += Math.cos(ship.angle) * thrust * THRUST * dt;
  ship.vy += Math.sin(ship.angle) * thrust * THRUST * dt;
  const drag = Math.exp(-DRAG * dt);
  ship.vx *= drag;
  ship.vy *= drag;
  ship.x += ship.vx * dt;
  ship.y += ship.vy * dt;
  let hit = 0;
  for (const body of [...ROCKS, ...others]) {
    const apart = distance(body, ship);
    const least = (body.radius ?? RADIUS) + RADIUS;
    if (apart >= least || apart === 0) continue;
    const [nx, ny] = [(ship.x - body.x) / apart, (ship.y - body.y) / apart];
    ship.x = body.x + nx * least;
    ship.y = body.y + ny * least;
    const into = (ship.vx - (body.vx ?? 0)) * nx + (ship.vy - (body.vy ?? 0)) * ny;
    if (into >= 0) continue;
    // A rock stays where it is; a ship takes its half, and does so by itself.
    const back = body.radius ? 1.6 : 1.15;
    ship.vx -= back * into * nx;
    ship.vy -= back * into * ny;
    hit = Math.max(hit, -into);
  }
  for (const [at, speed, size] of [["x", "vx", WIDTH], ["y", "vy", HEIGHT]]) {
    if (ship[at] >= RADIUS && ship[at] <= size - RADIUS) continue;
    ship[at] = ship[at] < RADIUS ? RADIUS : size - RADIUS;
    hit = Math.max(hit, Math.abs(ship[speed]));
    ship[speed] *= -0.6;
  }
  return hit;
}

/** A shot that leaves a ship. */
export function shoot(ship, time) {
  const [cos, sin] = [Math.cos(ship.angle), Math.sin(ship.angle)];
  return { time, x: ship.x + 24 * cos, y: ship.y + 24 * sin, vx: ship.vx + SHOT_SPEED * cos, vy: ship.vy + SHOT_SPEED * sin };
}

/** Where a shot is; null: it has ended. */
export function follow(shot, time) {
  const age = time - shot.time;
  if (age > SHOT_MS) return null;
  const at = { x: shot.x + (shot.vx * Math.max(0, age)) / 1000, y: shot.y + (shot.vy * Math.max(0, age)) / 1000 };
  const inside = at.x > 0 && at.y > 0 && at.x < WIDTH && at.y < HEIGHT;
  return inside && ROCKS.every((rock) => distance(rock, at) > rock.radius) ? at : null;
}

export const hits = (shot, ship) => distance(shot, ship) < RADIUS + 4;

/** How a ship stands, as 20 bytes: what the room keeps of it, and tells who comes later. */
export function pack(ship, time) {
  const view = new DataView(new ArrayBuffer(20));
  view.setFloat64(0, time);
  view.setUint16(8, ship.x * 16);
  view.setUint16(10, ship.y * 16);
  view.setInt16(12, clamp(ship.vx * 8, 32_767));
  view.setInt16(14, clamp(ship.vy * 8, 32_767));
  view.setInt16(16, arc(0, ship.angle) * 10_000);
  view.setUint8(18, ship.thrust * 255);
  view.setUint8(19, ship.dead ? 1 : 0);
  return new Uint8Array(view.buffer);
}

export function unpack(bytes) {
  if (!(bytes instanceof Uint8Array) || bytes.length !== 20) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return {
    time: view.getFloat64(0),
    x: view.getUint16(8) / 16,
    y: view.getUint16(10) / 16,
    vx: view.getInt16(12) / 8,
    vy: view.getInt16(14) / 8,
    angle: view.getInt16(16) / 10_000,
    thrust: view.getUint8(18) / 255,
    dead: view.getUint8(19) === 1,
  };
}

/** Another's ship: what was said of it lately, and where it is shown, a little behind so that there is something to go by. */
export class Track {
  #known = [];

  add(ship) {
    if (ship.time <= (this.newest?.time ?? -Infinity)) return;
    this.#known.push(ship);
    if (this.#known.length > 32) this.#known.shift();
  }

  get newest() {
    return this.#known.at(-1);
  }

  at(time) {
    const next = this.#known.findIndex((ship) => ship.time > time);
    if (next === 0) return this.#known[0];
    const from = this.#known.at(next < 0 ? -1 : next - 1);
    if (next < 0) {
      const ahead = Math.min(time - from.time, GUESS_MS) / 1000;
      return { ...from, x: from.x + from.vx * ahead, y: from.y + from.vy * ahead };
    }
    const to = this.#known[next];
    const part = (time - from.time) / (to.time - from.time);
    const mix = (a, b) => a + (b - a) * part;
    if (from.dead !== to.dead) return from;
    return { ...to, x: mix(from.x, to.x), y: mix(from.y, to.y), angle: from.angle + arc(from.angle, to.angle) * part };
  }
}
