// A client's side of a session (docs/PROTOCOL.md, sections 6 to 9): bytes and time in, bytes and news out.
//
// Owns: what a player must know to come back (token, life, cursor) and what the relay has not yet acknowledged.
// Must not know: sockets, timers, clocks. `now` is always the caller's monotonic clock in microseconds.
// Invariant: each numbered packet is applied once, and all that was for this player is told once, or a reset is.

import { Malformed, within } from "./bytes.js";
import { Clock } from "./clock.js";
import { decode, encode, LIST_MAX } from "./codec.js";
import { next, type Next } from "./ends.js";
import type { Down, Join, Numbered, Pairs, Stated } from "./packets.js";
import { States } from "./states.js";

/** The version of the protocol's text that this client speaks. */
const MINOR = 1;
/** How long a connection may be silent. */
const SILENCE_MAX = 6_000_000;
/** When the client has sent nothing for so long it says that it is there. */
const QUIET_MAX = 2_500_000;
const PING_EVERY = 10_000_000;
/** To set the clock after a welcome or a resume. */
const BURST = 5;
const BURST_EVERY = 200_000;
/** The capability of relays that have groups. */
const GROUPS = 4;
/** What a kept packet costs beside its bytes, about. */
const KEPT_BYTES = 64;
/** What is packed into one message, although the relay may take more: it can begin with the first sooner. */
const MESSAGE_BYTES = 16_384;
/** What a snapshot's tail is made of. */
const TAIL = ["EVENT", "JOINED", "LEFT", "AWAY", "BACK", "PROPERTIES", "HOST", "LOCKED"];

type State = "Idle" | "Joining" | "Welcomed" | "Live" | "Resetting" | "Lost" | "Ended";

/** What the game hears. */
export type News =
  | Exclude<Down, { packet: "WELCOME" | "ACK" | "PONG" | "KEEPALIVE" | "UNKNOWN" }>
  /** What was known of players and properties is void. `dropped`: packets that won't be sent, as nobody is left to get them. */
  | (Extract<Down, { packet: "WELCOME" }> & { dropped: number })
  /** Of a snapshot's tail: it was said before, and may have been heard. */
  | { packet: "TAIL"; said: Down };

/** The relay broke the protocol: the session is over. Close the socket with 4006 and the message as the reason. */
export class Violation extends Malformed {}

/** When to send, in a room with ticks: `Ticks` of `roomcast/ticks`. */
export interface Aligns {
  /** Asks with each ping what is to be known for that. */
  readonly asks: boolean;
  /** A part of what `room.stats()` says. */
  readonly stats: { superseded: number; age: number };
  /** A new connection. */
  lost(): void;
  /** Sees each packet first; returns it, or the one that this client knows instead. */
  hear(packet: Down, now: number, clock: Clock): Down;
  /** Whether what waits may be sent now. Before it says so the game may say more. */
  allows(now: number): boolean;
  /** Something was sent that waited. */
  sent(now: number): void;
  /** When `allows` is to be asked again; `waits`: there is something to send. */
  due(waits: boolean): number;
}

export interface ClientOptions extends Pick<Join, "name"> {
  /** 0: this player is never the host. Default: 1. */
  minor?: number;
  mode?: number;
  /** Who this player was before the program was started again. */
  token?: Uint8Array;
  properties?: Join["properties"];
  wishes?: Pairs;
  ticks?: Aligns | undefined;
  /** What may wait for its acknowledgement, in bytes; each packet counts 64 more. And so much may be kept of states. */
  bufferMax?: number;
}

export class Client {
  readonly clock = new Clock();
  #join: Join;
  #ticks: Aligns | undefined;
  #bufferMax: number;
  #state: State = "Idle";
  #joined = false;

  #id = 0;
  #life: Uint8Array | undefined;
  /** Null if it means nothing: before the first READY, and from a RESET to the next. */
  #cursor: number | null = null;
  /** Of the last WELCOME: the cursor to be. */
  #seq = 0;
  /** A snapshot is to come, or has come and its end has not: until then what this player knows is no whole. */
  #given: "" | "promised" | "tail" = "";

  /** Numbered packets, encoded, from number `#acked` on. */
  #kept: Uint8Array[] = [];
  #keptBytes = 0;
  #acked = 0;
  /** How many of the kept have gone out on this connection, and at most on any. */
  #out = 0;
  #sent = 0;
  /** How many were ever kept, of whichever player. */
  #taken = 0;
  #states = new States();
  /** What this player is in, as far as it goes by the game. */
  #groups = new Set<number>();
  #groupsMax = Infinity;

  #messageMax = MESSAGE_BYTES;
  #packetMax = Infinity;
  #rate = Infinity;
  #burst = Infinity;
  #tokens = Infinity;
  #refilled = 0;

  #pings: Uint8Array[] = [];
  #pingsLeft = 0;
  #pinged = 0;
  #heard = 0;
  #spoke = 0;

  /** Throws RangeError if the name or a property is none. */
  constructor({ name, minor = MINOR, mode = 0, token, properties = [], wishes = [], ticks, bufferMax = 1024 * 1024 }: ClientOptions) {
    this.#join = { packet: "JOIN", minor, mode, token, name, properties, wishes };
    this.#bufferMax = bufferMax;
    this.#ticks = ticks;
    encode(this.#join);
  }

  get state(): State {
    return this.#state;
  }

  get id(): number {
    return this.#id;
  }

  /** The last entry that was told; null while what this player knows is no whole. */
  get cursor(): number | null {
    return this.#given ? null : this.#cursor;
  }

  get token(): Uint8Array | undefined {
    return this.#join.token;
  }

  /** Bytes that wait for their acknowledgement, and what they are kept with. */
  get buffered(): number {
    return this.#keptBytes;
  }

  /** The longest packet that the relay takes, in bytes with its head. */
  get packetMax(): number {
    return this.#packetMax;
  }

  get groups(): ReadonlySet<number> {
    return this.#groups;
  }

  /** A socket has opened. What an earlier one still delivers is no longer to be handed in. */
  opened(now: number): void {
    if (this.#state === "Ended") return;
    this.#state = "Joining";
    this.#joined = false;
    this.#out = 0;
    this.#states.lost();
    this.#ticks?.lost();
    this.#pings = [];
    this.#pingsLeft = 0;
    this.#heard = this.#spoke = this.#pinged = now;
    this.#tokens = this.#burst = this.#rate = Infinity;
  }

  /** A message has come on the present socket. Throws Violation. */
  receive(message: Uint8Array, now: number): News[] {
    const news: News[] = [];
    if (!this.#open) return news;
    this.#heard = now;
    try {
      const { covered, packets } = decode(message);
      let [welcome, done] = [this.#welcoming, false];
      for (const come of packets) {
        const packet = this.#ticks?.hear(come, now, this.clock) ?? come;
        if (!this.#take(packet, now, news)) continue;
        if (done) throw misplaced(packet.packet);
        done = packet.packet === "READY";
        welcome ||= this.#welcoming;
      }
      if (covered > 0) {
        if (welcome || this.#cursor === null) throw misplaced("covered");
        this.#cursor += covered;
      }
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      this.#end();
      throw new Violation(error.message);
    }
    if (this.#open) this.#pingIfQuiet(now);
    return news;
  }

  /** `due()` has come. False: nothing was heard for so long that this connection is given up; open another. */
  wake(now: number): boolean {
    if (!this.#open) return true;
    if (now - this.#heard >= SILENCE_MAX) {
      this.#state = "Lost";
      return false;
    }
    if (this.#pingsLeft > 0 && now - this.#pinged >= BURST_EVERY) this.#ping(now);
    else this.#pingIfQuiet(now);
    return true;
  }

  /** Asks for a sign of life, because something happened that connections do not always survive. */
  probe(now: number): void {
    if (this.#answered) this.#ping(now);
  }

  /** When `wake` wants to be called, or `transmit` again; Infinity: not by itself. */
  due(): number {
    if (!this.#open) return Infinity;
    let due = this.#heard + SILENCE_MAX;
    if (this.#answered) {
      const waits = this.#out < this.#kept.length || this.#states.waiting;
      due = Math.min(due, this.#spoke + QUIET_MAX, this.#pinged + this.#pingEvery, this.#ticks?.due(waits) ?? Infinity);
      if (this.#pingsLeft > 0) due = Math.min(due, this.#pinged + BURST_EVERY);
      if (waits && this.#tokens < 1) {
        due = Math.min(due, this.#refilled + Math.ceil(((1 - this.#tokens) / this.#rate) * 1e6));
      }
    }
    return due;
  }

  /** The next message to write, or null; to be asked until there is none. */
  transmit(now: number): Uint8Array | null {
    if (this.#state === "Joining" && !this.#joined) {
      this.#joined = true;
      const cursor = this.cursor === null ? {} : { life: this.#life!, seq: this.cursor };
      return encode({ ...this.#join, ...cursor });
    }
    // The game may say something just then, and leave too.
    const allowed = this.#ticks?.allows(now) ?? true;
    if (!this.#answered) return null;
    const packets = this.#pings;
    this.#pings = [];
    const pings = packets.length;
    let bytes = packets.reduce((sum, packet) => sum + packet.length, 0);
    this.#refill(now);
    this.#tokens -= pings;
    for (; allowed && this.#tokens >= 1; this.#tokens--) {
      const room = packets.length > 0 ? this.#messageMax - bytes : Infinity;
      let packet = this.#kept[this.#out];
      if (packet && packet.length <= room) this.#out++;
      else packet = this.#states.next(now, this.#taken - this.#kept.length + this.#out, room);
      if (!packet) break;
      packets.push(packet);
      bytes += packet.length;
    }
    if (packets.length === 0) return null;
    if (packets.length > pings) this.#ticks?.sent(now);
    this.#sent = Math.max(this.#sent, this.#out);
    this.#spoke = now;
    return packets.length === 1 ? packets[0]! : concat(packets, bytes);
  }

  /** The socket has closed. Null if that changes nothing, because the client has given it up already. */
  closed(code: number | null): Next | null {
    if (this.#state === "Ended") return "stop";
    if (!this.#open) return null;
    const then = next(code);
    if (then === "stop") this.#end();
    else this.#state = "Lost";
    return then;
  }

  /** The number of the packet that was taken; "full" or "ended" if it was not. Throws RangeError if it is none. */
  send(packet: Numbered | Uint8Array): number | "full" | "ended" {
    if (this.#state === "Ended") return "ended";
    const plain = packet instanceof Uint8Array ? undefined : packet;
    const audience = plain?.packet === "AUDIENCE" ? plain : undefined;
    let bytes = plain ? encode(plain) : (packet as Uint8Array);
    const ahead = audience && this.#states.unknown(audience);
    if (ahead) bytes = concat([ahead, bytes], ahead.length + bytes.length);
    within("bytes in a packet", bytes.length, 0, this.#packetMax);
    const groups = plain?.packet === "GROUPS" ? this.#joining(plain) : this.#groups;
    if (this.#keptBytes + bytes.length + KEPT_BYTES > this.#bufferMax && plain?.packet !== "LEAVE") return "full";
    if (audience) this.#states.goes(audience);
    this.#groups = groups;
    return this.#keep(bytes);
  }

  /** What becomes of a key: of what was not written yet only the newest is. Throws RangeError if the packet is none. */
  set(packet: Stated): "kept" | "full" | "ended" {
    if (this.#state === "Ended") return "ended";
    return this.#states.set(packet, this.#taken, this.#packetMax, this.#bufferMax) ? "kept" : "full";
  }

  /** The game leaves. Returns what is still to be written before the socket is closed with 1000. */
  leave(now: number): Uint8Array[] {
    const messages: Uint8Array[] = [];
    if (this.#answered) {
      this.send({ packet: "LEAVE" });
      this.#tokens = Infinity;
      this.#ticks = undefined;
      for (let message; (message = this.transmit(now)); ) messages.push(message);
    }
    this.#end();
    return messages;
  }

  get #open(): boolean {
    return this.#state !== "Idle" && this.#state !== "Lost" && this.#state !== "Ended";
  }

  /** The JOIN was answered, so that everything may be sent. */
  get #answered(): boolean {
    return this.#open && this.#state !== "Joining";
  }

  get #welcoming(): boolean {
    return this.#state === "Welcomed" || this.#state === "Resetting" || this.#given === "tail";
  }

  /** False for what may stand anywhere. */
  #take(packet: Down, now: number, news: News[]): boolean {
    const kind = packet.packet;
    if (this.#given === "tail" && TAIL.includes(kind)) {
      news.push({ packet: "TAIL", said: packet });
      return true;
    }
    switch (kind) {
      case "UNKNOWN":
        return false;
      case "ACK":
        // Before the answer to the JOIN it says nothing that the answer doesn't.
        if (this.#answered) this.#ack(packet.applied);
        return false;
      case "PONG":
        if (packet.echo <= now) this.clock.sample(packet.echo, now, packet.time);
        this.#states.arrived(packet.echo);
        return false;
      case "KEEPALIVE":
        this.clock.state(packet.time, now);
        return false;
      case "RESUMED":
        if (this.#state !== "Joining" || this.#cursor === null) throw misplaced(kind);
        this.clock.state(packet.time, now);
        this.#ack(packet.applied);
        this.#go(now);
        break;
      case "RESET":
        if (this.#state === "Resetting") throw misplaced(kind);
        this.#cursor = null;
        if (this.#state !== "Joining") this.#state = "Resetting";
        break;
      case "WELCOME":
        this.#welcome(packet, now, news);
        return true;
      case "READY":
        if (this.#state === "Welcomed") {
          this.#cursor = this.#seq;
          this.#go(now);
        } else if (this.#given !== "tail") throw misplaced(kind);
        this.#given = "";
        break;
      case "SNAPSHOT":
        if (this.#given !== (this.#state === "Welcomed" ? "" : "promised")) throw misplaced(kind);
        this.#given = "tail";
        break;
      case "HOST":
      case "LOCKED":
      case "SETTINGS":
      case "PROPERTIES":
      case "STATE":
        if (!this.#answered || this.#state === "Resetting") throw misplaced(kind);
        if (kind === "HOST" && this.#state === "Live") this.#given = packet.given && packet.id === this.#id ? "promised" : "";
        break;
      default:
        if (this.#state !== (kind === "PLAYER" ? "Welcomed" : "Live")) throw misplaced(kind);
    }
    news.push(packet);
    return true;
  }

  #welcome(packet: Extract<Down, { packet: "WELCOME" }>, now: number, news: News[]): void {
    const first = this.#state === "Joining";
    if (!first && this.#state !== "Resetting") throw misplaced(packet.packet);
    const { id, life, token, capabilities, applied } = packet;
    const known = this.#life !== undefined;
    const again = this.#join.token !== undefined;
    const same = known && id === this.#id && equal(life, this.#life!);
    if (!first && !same) throw misplaced(packet.packet);
    let dropped = 0;
    if (same) {
      this.#ack(applied);
    } else {
      if (known) {
        dropped = this.#kept.length;
        this.#kept = [];
        this.#keptBytes = 0;
        this.#sent = this.#out = 0;
        if (!equal(life, this.#life!)) this.clock.reset();
      }
      this.#acked = applied;
    }
    this.#groupsMax = Math.min(LIST_MAX, number(packet.limits, 20));
    if (again && !same) this.#restate(capabilities, known);
    this.#id = id;
    // Copies: these outlive the message.
    this.#life = life.slice();
    this.#join = { ...this.#join, mode: 0, token: token.slice() };
    this.#seq = packet.seq;
    this.#cursor = null;
    this.#given = "";
    this.#state = "Welcomed";
    this.clock.state(packet.time, now);
    this.#limit(packet.limits, first, now);
    news.push({ ...packet, dropped });
  }

  /** Who is somebody else now, or was before the program was started again, is in the groups that the game knows of alone. */
  #restate(capabilities: number, known: boolean): void {
    if (capabilities & GROUPS) {
      const groups = [...this.#groups].sort((a, b) => a - b).map((group): [number, number] => [group, 1]);
      this.#keep(encode({ packet: "GROUPS", only: true, groups }));
    }
    if (!known) return;
    // Who gets a key is said before its value is.
    for (const audience of this.#states.audiences) this.#keep(encode(audience));
    this.#states.restart(this.#taken);
  }

  #keep(bytes: Uint8Array): number {
    this.#keptBytes += bytes.length + KEPT_BYTES;
    this.#taken++;
    return this.#acked + this.#kept.push(bytes) - 1;
  }

  /** The groups after this change. */
  #joining({ groups, only }: Extract<Numbered, { packet: "GROUPS" }>): Set<number> {
    const after = new Set(only ? [] : this.#groups);
    for (const [group, inside] of groups) inside ? after.add(group) : after.delete(group);
    within("groups", after.size, 0, this.#groupsMax);
    return after;
  }

  #limit(limits: Pairs, first: boolean, now: number): void {
    const limit = (key: number) => number(limits, key);
    this.#packetMax = limit(2);
    this.#messageMax = Math.min(MESSAGE_BYTES, limit(2));
    this.#rate = limit(4);
    const burst = limit(6);
    this.#burst = this.#rate === Infinity ? Infinity : burst === Infinity ? 1 : Math.max(1, burst);
    if (first) {
      // The JOIN took one.
      this.#tokens = this.#burst - 1;
      this.#refilled = now;
    }
  }

  #refill(now: number): void {
    const passed = Math.max(0, now - this.#refilled) / 1e6;
    this.#refilled = now;
    // Not by a rate of Infinity: no time at all may have passed.
    this.#tokens = this.#rate === Infinity ? Infinity : Math.min(this.#burst, this.#tokens + passed * this.#rate);
  }

  #ack(applied: number): void {
    const count = applied - this.#acked;
    if (count < 0 || count > this.#sent) throw misplaced("applied");
    for (const packet of this.#kept.splice(0, count)) this.#keptBytes -= packet.length + KEPT_BYTES;
    this.#acked = applied;
    this.#sent -= count;
    this.#out = Math.max(0, this.#out - count);
  }

  /** Everything is as it should be: Live. */
  #go(now: number): void {
    this.#state = "Live";
    this.#pingsLeft = BURST;
    this.#ping(now);
  }

  #pingIfQuiet(now: number): void {
    if (!this.#answered) return;
    if (now - this.#spoke >= QUIET_MAX || now - this.#pinged >= this.#pingEvery) this.#ping(now);
  }

  get #pingEvery(): number {
    return this.#ticks?.asks ? QUIET_MAX : PING_EVERY;
  }

  #ping(now: number): void {
    this.#pings.push(encode({ packet: "PING", echo: now, trip: this.clock.trip, ticks: this.#ticks?.asks }));
    if (this.#pingsLeft > 0) this.#pingsLeft--;
    this.#pinged = this.#spoke = now;
  }

  #end(): void {
    this.#state = "Ended";
    this.#kept = [];
    this.#keptBytes = 0;
    this.#states = new States();
  }
}

function misplaced(kind: string): Violation {
  return new Violation(`${kind} out of place`);
}

function number(limits: Pairs, key: number): number {
  return (limits.find((pair) => pair[0] === key)?.[1] as number | undefined) ?? Infinity;
}

function concat(packets: Uint8Array[], bytes: number): Uint8Array {
  const message = new Uint8Array(bytes);
  let at = 0;
  for (const packet of packets) {
    message.set(packet, at);
    at += packet.length;
  }
  return message;
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
