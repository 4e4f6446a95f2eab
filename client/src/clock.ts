// The relay's time, as a client estimates it (docs/PROTOCOL.md, section 10). All times are microseconds.
//
// Invariant: the estimate never goes backwards, and is never less than a time that the relay has stated.

const SAMPLES = 8;
/** How much of the time that passes the offset may move: ahead or a little behind; far behind. */
const SLEW = 0.05;
const SLEW_FAR = 0.5;
const FAR = 1_000_000;
/** A round trip that says nothing any more. */
const TRIP_MAX = 60_000_000;

export class Clock {
  #samples: { trip: number; offset: number }[] = [];
  #offset = -Infinity;
  /** The client's clock when the offset last moved. */
  #moved = 0;
  #stated = 0;
  #trips = 0;
  #last = 0;
  #jitter = 0;

  /** A PONG has come: sent at `a`, received at `b` by the client's clock, answered at `t` by the relay's. */
  sample(a: number, b: number, t: number): void {
    const trip = b - a;
    if (trip < 0 || trip > TRIP_MAX) return;
    const first = this.#trips === 0;
    // As RFC 3550 has it: a sixteenth of what two trips that follow each other differ by.
    if (!first) this.#jitter += (Math.abs(trip - this.#last) - this.#jitter) / 16;
    this.#last = trip;
    this.#trips++;
    if (!first) this.#move(b);
    this.#samples.push({ trip, offset: t - Math.floor((a + b) / 2) });
    if (this.#samples.length > SAMPLES) this.#samples.shift();
    if (first || this.#target().offset - this.#offset > FAR) {
      this.#offset = this.#target().offset;
      this.#moved = b;
    }
  }

  /** The relay says that it is `t`: until there is a sample, it is as if that had needed no time to come. */
  state(t: number, now: number): void {
    this.#stated = Math.max(this.#stated, t);
    if (this.#trips === 0) this.#offset = Math.max(this.#offset, t - now);
  }

  /** The room has a new life, and with it perhaps another relay's clock. */
  reset(): void {
    this.#samples = [];
    this.#trips = 0;
    this.#stated = 0;
    this.#offset = -Infinity;
  }

  /** The relay's time; 0 before it has said anything about it. */
  time(now: number): number {
    if (this.#trips > 0) this.#move(now);
    return (this.#stated = Math.max(this.#stated, now + this.#offset));
  }

  /** The shortest of the last round trips, 0 if there was none yet. */
  get trip(): number {
    return this.#trips === 0 ? 0 : this.#target().trip;
  }

  get jitter(): number {
    return this.#jitter;
  }

  #target(): { trip: number; offset: number } {
    return this.#samples.reduce((best, sample) => (sample.trip <= best.trip ? sample : best));
  }

  #move(now: number): void {
    const passed = Math.max(0, now - this.#moved);
    const wanted = this.#target().offset - this.#offset;
    const step = passed * (wanted < -FAR ? SLEW_FAR : SLEW);
    this.#offset += Math.max(-step, Math.min(step, wanted));
    this.#moved = Math.max(this.#moved, now);
  }
}
