// The entry `roomcast/ticks`: for rooms with ticks, in which what is said leaves for everybody on the next one (docs/PROTOCOL.md,
// section 13).
//
// Owns: the moment in the length of a tick at which this player sends, and how what the relay tells moves it; how old states were.
// Must not know: what is sent, sockets, timers. All times are microseconds. Invariant: nothing waits for longer than a tick's length.

import { Reader } from "./bytes.js";
import type { Aligns } from "./client.js";
import type { Clock } from "./clock.js";
import { guarded } from "./guarded.js";
import type { Down } from "./packets.js";
import { about } from "./ticks.js";

/** The capability of relays that have ticks, and the setting that says how many. */
const TICKS = 16;
const HZ = 12;
const HZ_MAX = 128;
/** So many slacks are remembered. */
const SLACKS = 8;
/** By so much packets are to come before the tick, unless that is more than a quarter of its length. */
const AIM = 2_000;
/** By so much it is worth to move: the relay's clock goes in such steps. */
const STEP = 1_000;
/** For so long a moment lasts: what is sent in it may be several messages. */
const MOMENT = 1_000;

/**
 * Pass it to `join(url, { ticks, wishes: { ticks: 20 } })`: then what this player sends leaves just ahead of each tick, of each key the
 * newest. For one room. A hidden page, whose timers are not to be relied on, sends at once.
 */
export class Ticks implements Aligns {
  /** Called just ahead of each tick: the states that it sets are as new as can be when they leave. In rooms without ticks never. */
  tell: (() => void) | null = null;
  #offered = false;
  /** From tick to tick; 0: there are none. */
  #length = 0;
  /** When the next moment begins, and when the last did. */
  #next = 0;
  #moment = -Infinity;
  /** Something waits for the next. */
  #waiting = false;
  /** When something was sent first since the moments were moved; Infinity: nothing was. */
  #first = Infinity;
  /** What the relay tells next may be of what was sent before the moments were moved. */
  #moved = false;
  /** How long before a tick the packets came, as they would have at the present moments; the last of them. */
  #slacks: number[] = [];
  #superseded = 0;
  /** How old what has come of the last tick was when it came, and what came last. */
  #come = 0;
  #age = 0;

  /** @internal */
  get stats(): { superseded: number; age: number } {
    return { superseded: this.#superseded, age: this.#age / 1000 };
  }

  /** @internal */
  get asks(): boolean {
    return this.#offered;
  }

  /** @internal */
  lost(): void {
    this.#first = Infinity;
    this.#moved = false;
    this.#slacks = [];
    this.#superseded = 0;
  }

  /** @internal */
  hear(packet: Down, now: number, clock: Clock): Down {
    if (packet.packet === "WELCOME") this.#offered = (packet.capabilities & TICKS) !== 0;
    if (packet.packet === "SETTINGS") this.#settings(Number(new Map(packet.settings).get(HZ) ?? 0));
    if (packet.packet !== "UNKNOWN") return packet;
    const body = new Reader(packet.body);
    const known = about(packet.kind, body);
    if (!known) return packet;
    body.finish();
    if (known.packet === "TICK") this.#age = this.#come = Math.max(0, clock.time(now) - known.time);
    if (known.packet === "AGED") this.#age = this.#come + known.age * 1000;
    if (known.packet !== "PONG_TICKS") return packet;
    const { echo, time, superseded, slack } = known;
    this.#superseded = superseded;
    this.#told(echo, slack % 2 ? (1 - slack) / 2 : slack / 2, now);
    return { packet: "PONG", echo, time };
  }

  /** @internal */
  allows(now: number): boolean {
    if (this.#length === 0) return true;
    this.#next ||= now;
    const passed = now - this.#next;
    if (passed >= 0) {
      // What was not there when the moment came waits for the next: at once it would go so each time, and never be aligned.
      if (this.#waiting || this.tell || passed % this.#length < MOMENT) this.#moment = now;
      this.#next += (Math.floor(passed / this.#length) + 1) * this.#length;
      this.#waiting = false;
      guarded(() => this.tell?.());
    }
    return hidden() || now - this.#moment < MOMENT;
  }

  /** @internal */
  sent(now: number): void {
    this.#first = Math.min(this.#first, now);
  }

  /** @internal */
  due(waits: boolean): number {
    // What there is to send after it was asked whether it may be waits for the next moment.
    this.#waiting ||= waits;
    return this.#length > 0 && (this.tell || (waits && !hidden())) ? this.#next : Infinity;
  }

  #settings(hz: number): void {
    const length = hz > 0 ? Math.floor(1_000_000 / Math.min(hz, HZ_MAX)) : 0;
    if (length === this.#length) return;
    this.#length = length;
    this.#next = 0;
    this.lost();
  }

  /** The answer to a ping of the time `asked`: the packets since the one before came so long before the tick. */
  #told(asked: number, ahead: number, now: number): void {
    if (this.#length === 0 || asked <= this.#first || hidden()) return;
    const mixed = this.#moved;
    this.#moved = false;
    if (mixed) return;
    const half = Math.floor(this.#length / 2);
    this.#slacks.push(Math.max(-half, Math.min(half, ahead)));
    if (this.#slacks.length > SLACKS) this.#slacks.shift();
    // The least of them, but that one of all that are remembered may be a chance.
    const ascending = [...this.#slacks].sort((a, b) => a - b);
    const later = ascending[+(ascending.length === SLACKS)]! - Math.min(AIM, Math.floor(this.#length / 4));
    if (Math.abs(later) < STEP) return;
    this.#slacks = this.#slacks.map((slack) => slack - later);
    const next = (this.#next - now + later) % this.#length;
    this.#next = now + (next < 0 ? next + this.#length : next);
    this.#first = Infinity;
    this.#moved = true;
  }
}

const hidden = (): boolean => globalThis.document?.visibilityState === "hidden";
