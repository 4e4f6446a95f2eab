// A room as a game sees it: who is there, what they say, how things stand, what is written on the wall.
//
// Owns: players, properties, states as they were told, listeners, and the promises of property changes.
// Must not know: sockets, timers, bytes. Invariant: listeners hear of a change when the room already shows it.

import { utf8 } from "./bytes.js";
import { type Aligns, Client, type News } from "./client.js";
import { RoomError } from "./ends.js";
import { Link, now, type SocketConstructor } from "./link.js";
import type { Change, Numbered, Pairs, Payload, Property, Value } from "./packets.js";

/** Bytes as games have them. */
export type Data = string | Uint8Array | ArrayBuffer | ArrayBufferView;

export interface Player {
  /** From 1 on, in the order of joining; never twice in a room's life. */
  readonly id: number;
  /** What it says its name is; empty for a raw player. */
  readonly name: string;
  /** Its connection is gone, but it keeps its seat for the grace. */
  readonly away: boolean;
  readonly properties: Properties;
  /** The newest value of each of its keys, as far as they go to this player; copies, which may be kept. */
  readonly states: ReadonlyMap<number, Payload>;
}

/** A key has another value. */
export interface State {
  /** Whose key it is; null: the room's. */
  readonly from: Player | null;
  readonly key: number;
  /** Text or bytes, a copy; null: there is none any more, or it no longer goes to this player. */
  readonly data: Payload | null;
}

/** Whom a key goes to. */
export type Audience = "others" | "all" | "host" | { group: number };

/** What was sent to a player or the room, and by whom. */
export interface Message {
  /** Text or bytes, as it was sent. Bytes are a view: copy them (`data.slice()`) to keep them without the message. */
  readonly data: Payload;
  readonly from: Player;
  /** It was for this player, or a list with it, and not for the whole room. */
  readonly addressed: boolean;
  /** It was sent as the host, which the relay has looked at. */
  readonly asHost: boolean;
}

/** What being the host takes: `Hosting` of `roomcast/host`. */
export interface Hears {
  snapshot(data: Data): number | null;
  /** @internal */
  hear(room: Room, news: News): void;
}

export interface RoomEvents {
  message: [message: Message];
  /** Where a value is replaced before it could be told, only the newest is. */
  state: [state: State];
  joined: [player: Player];
  /** `reason`: it left, its grace ended, or it was kicked. */
  left: [player: Player, reason: "left" | "grace" | "kicked"];
  away: [player: Player];
  back: [player: Player];
  /** Properties of a player, or of the room (`owner` is null), have changed. */
  properties: [changes: { owner: Player | null; author: Player | null; keys: string[] }];
  settings: [settings: Settings];
  /** Somebody else is the host, or nobody. */
  host: [host: Player | null];
  /** The relay did not do what was sent: `number` is what `send` returned, or `key` what `state` was given. */
  refused: [refusal: { number: number | null; key: number | null; reason: Refusal; detail: string }];
  /** What the relay's operator says to everybody, for people to read. */
  notice: [words: string];
  /** The connection is gone, another is tried. What is sent meanwhile waits. */
  lost: [why: RoomError];
  /** As if the connection had never been lost. */
  resumed: [];
  /** Something was missed: the room shows what holds now. `dropped`: how many packets nobody will get. */
  reset: [reset: { reason: "behind" | "log" | "token"; dropped: number }];
  /** The room is over for this player. */
  closed: [why: RoomError];
}

export type Refusal = "guard" | "gone" | "not allowed" | "limit" | "not offered" | "not host" | "other";

/** What holds in a room. A setting that the relay doesn't name is undefined. */
export interface Settings {
  /** Players at most, away ones included. */
  players?: number;
  /** How long an away player keeps its seat, in ms. */
  grace?: number;
  /** Who writes properties of the room. */
  roomProperties?: "host" | "all";
  /** Who writes keys of the room. */
  roomStates?: "host" | "all";
  /** Raw players are let in too. */
  raw?: boolean;
  /** Ticks a second, 1 to 128: what is said leaves for everybody on the next one. 0 or undefined: at once. */
  ticks?: number;
  /** Under what the room is listed: 1 to 64 bytes. */
  tag?: string;
}

export interface JoinOptions {
  name: string;
  /** "join" only a room that is there, "make" only one that is not. Without: whichever it is. */
  mode?: "join" | "make";
  /** With it this player may be the host of the room: `new Hosting(…)` of `roomcast/host`. */
  hosting?: Hears;
  /** With it this player sends just ahead of the ticks of the room: `new Ticks(…)` of `roomcast/ticks`. */
  ticks?: Aligns;
  /** This player's first properties. */
  properties?: Record<string, Payload>;
  /** Settings, if this makes the room. The relay brings them within its bounds. */
  wishes?: Settings;
  /** Of an earlier `room.token`: go on as that player, after a page was loaded again. A secret. */
  token?: string;
  /** How long to try before giving up, in ms. Default: 10,000. */
  timeout?: number;
  /** What may wait to be acknowledged, in bytes. Default: 1 MiB. */
  bufferMax?: number;
  /** For Node before 22: that of the package `ws`. Or what `carriers` of `roomcast/carriers` makes. */
  WebSocket?: SocketConstructor;
}

export interface Stats {
  /** In ms, the shortest of the last eight. */
  roundTrip: number;
  /** In ms: how much round trips differ from one to the next. */
  jitter: number;
  bytesIn: number;
  bytesOut: number;
  /** Bytes that wait to be acknowledged, with 64 for each packet. */
  buffered: number;
  /** With `ticks`: values that this player was not sent on this connection, because newer ones took their place. */
  superseded?: number;
  /** With `ticks`: how old, in ms, the states that came last were when they came, since their tick. */
  age?: number;
  resumes: number;
  resets: number;
}

/** The groups that this player is in: numbers below 2^32. Who comes in gets the keys that are for it, who goes loses them. */
export interface Groups {
  has(group: number): boolean;
  /** As `room.send`. Throws RangeError for more groups than the relay allows. */
  join(...groups: number[]): number | null;
  leave(...groups: number[]): number | null;
}

/** The properties of a player, or of the room. */
export class Properties implements Iterable<[key: string, value: Payload]> {
  readonly #all = new Map<string, Property>();

  #write: (changes: Change[]) => Promise<void>;

  /** @internal */
  constructor(write: (changes: Change[]) => Promise<void>) {
    this.#write = write;
  }

  get(key: string): Payload | undefined {
    return this.#all.get(key)?.value ?? undefined;
  }

  /** Grows with every change of the key; 0: it is not set. */
  version(key: string): number {
    return this.#all.get(key)?.version ?? 0;
  }

  *[Symbol.iterator](): IterableIterator<[string, Payload]> {
    for (const { key, value } of this.#all.values()) yield [key, value!];
  }

  /**
   * Changes all of them or none; null deletes. With `expected`, only if each key named there has that version
   * (`properties.version(key)`; 0: is not set). Rejects with the relay's reason if not.
   */
  async set(changes: Record<string, Value>, { expected = {} }: { expected?: Record<string, number> } = {}): Promise<void> {
    const other = Object.keys(expected).find((key) => !(key in changes));
    if (other) throw new RangeError(`expected, but not changed: ${other}`);
    return this.#write(
      Object.entries(changes).map(([key, value]) => ({ key, value, guard: key in expected ? expected[key]! + 1 : 0 })),
    );
  }

  /** @internal */
  apply(changes: Property[]): void {
    for (const change of changes) {
      if (change.value === null) this.#all.delete(change.key);
      // A copy: it outlives the message that it is a view of.
      else this.#all.set(change.key, { ...change, value: change.value.slice() });
    }
  }

  /** @internal */
  clear(): void {
    this.#all.clear();
  }
}

type Listener<E extends keyof RoomEvents> = (...args: RoomEvents[E]) => void;
/** A player, as only this file may change it. */
type Known = Omit<Player, "away" | "states"> & { away: boolean; states: Map<number, Payload> };

const LEFT = ["left", "grace", "kicked"] as const;
const RESET = [, "behind", "log", "token"] as const;
const REFUSED: Refusal[] = ["other", "guard", "gone", "not allowed", "limit", "not offered", "not host"];

export class Room {
  /** Properties of the room itself. */
  readonly properties = this.#properties(0);
  /** The newest value of each of the room's own keys. */
  readonly states: ReadonlyMap<number, Payload> = new Map();
  readonly groups: Groups = {
    has: (group) => this.#client.groups.has(group),
    join: (...groups) => this.#enter(groups, 1),
    leave: (...groups) => this.#enter(groups, 0),
  };
  #players = new Map<number, Known>();
  #settings: Settings = {};
  #listeners = new Map<keyof RoomEvents, Set<(...args: any[]) => void>>();
  #writes: { number: number; resolve: () => void; reject: (why: Error) => void }[] = [];
  #client: Client;
  #link: Link;
  #resumes = 0;
  #resets = 0;
  /** Of the reset that the next READY completes. */
  #reset: RoomEvents["reset"][0]["reason"] = "log";
  #dropped = 0;
  /** Between WELCOME and READY: what is told then is told as a whole. */
  #welcoming = true;
  #ready: { resolve: (room: Room) => void; reject: (why: Error) => void } | undefined;
  #lost: RoomError | undefined;
  #host = 0;
  #term = 0;
  #hosting: Hears | undefined;
  #ticks: Aligns | undefined;

  /** @internal */
  constructor(url: string, options: JoinOptions, resolve: (room: Room) => void, reject: (why: Error) => void) {
    const { name, mode, hosting, ticks, properties = {}, wishes = {}, token, timeout = 10_000, bufferMax } = options;
    const WebSocket = options.WebSocket ?? (globalThis.WebSocket as SocketConstructor | undefined);
    if (!WebSocket) {
      throw new RoomError("no WebSocket here: with Node before 22, pass that of the package ws", 0);
    }
    this.#hosting = hosting;
    this.#ticks = ticks;
    this.#client = new Client({
      name,
      minor: hosting ? 1 : 0,
      mode: mode === "join" ? 1 : mode === "make" ? 2 : 0,
      properties: Object.entries(properties).map(([key, value]) => ({ key, value })),
      wishes: pairs(wishes),
      ...(token && { token: fromText(token) }),
      ticks,
      ...(bufferMax && { bufferMax }),
    });
    const settled = <T>(then: (value: T) => void) => (value: T) => {
      clearTimeout(timer);
      this.#ready = undefined;
      then(value);
    };
    this.#ready = { resolve: settled(resolve), reject: settled(reject) };
    this.#link = new Link(
      url,
      this.#client,
      {
        news: (news) => news.forEach((item) => this.#hear(item)),
        lost: (why) => {
          this.#lost = why;
          if (!this.#ready) this.#emit("lost", why);
        },
        ended: (why) => this.#ended(why),
      },
      WebSocket,
    );
    const timer = setTimeout(() => {
      const { message, code } = this.#lost ?? { message: "no answer", code: 0 };
      void this.#link.leave(new RoomError(`could not join within ${timeout / 1000} s: ${message}`, code));
    }, timeout);
  }

  get players(): ReadonlyMap<number, Player> {
    return this.#players;
  }

  get me(): Player {
    return this.#player(this.#client.id);
  }

  get settings(): Settings {
    return this.#settings;
  }

  /** Who decides what the game's rules do not; null: nobody. */
  get host(): Player | null {
    return this.#players.get(this.#host) ?? null;
  }

  /** The host's number: it grows with every other host. */
  get term(): number {
    return this.#term;
  }

  /** With it, `join` goes on as this player. A secret: keep it in sessionStorage, tell nobody. */
  get token(): string {
    return btoa(String.fromCharCode(...this.#client.token!));
  }

  /** The relay's clock in ms, as good as the connection allows: the same for all players, and it never goes backwards. */
  time(): number {
    return this.#client.clock.time(now()) / 1000;
  }

  stats(): Stats {
    const { clock, buffered } = this.#client;
    return {
      roundTrip: clock.trip / 1000,
      jitter: clock.jitter / 1000,
      bytesIn: this.#link.bytesIn,
      bytesOut: this.#link.bytesOut,
      buffered,
      ...this.#ticks?.stats,
      resumes: this.#resumes,
      resets: this.#resets,
    };
  }

  /**
   * Sends to the others, to "all" (oneself too), to the "host" (of the moment in which it arrives), to a player, a list of
   * players, or the others of a group; in order, and once, also over a lost connection. What is `droppable` may get lost with a
   * connection, or be left out for who is slow. What is sent `asHost` is refused if somebody else is the host by then.
   *
   * Returns the packet's number, or null if it was not taken: what waits for the relay is `bufferMax` already, or the
   * room is closed. Throws RangeError for what could never be sent.
   */
  send(
    data: Data,
    {
      to = "others",
      droppable = false,
      asHost = false,
    }: { to?: Audience | Player | number | (Player | number)[]; droppable?: boolean; asHost?: boolean } = {},
  ): number | null {
    const sent = { payload: payload(data), droppable, ...(asHost && { term: this.#term }) };
    if (to === "others") return this.#send({ packet: "EVENT_OTHERS", ...sent });
    if (to === "host") return this.#send({ packet: "EVENT_HOST", ...sent });
    if (to === "all") return this.#send({ packet: "EVENT_ALL", ...sent });
    if (Array.isArray(to)) return this.#send({ packet: "EVENT_LIST", to: ascending(to.map(id)), ...sent });
    if (typeof to === "object" && "group" in to) return this.#send({ packet: "EVENT_GROUP", group: to.group, ...sent });
    return this.#send({ packet: "EVENT_ONE", to: id(to), ...sent });
  }

  /**
   * Sets a key of this player, or of the `room`, a number below 2^32; null deletes. Only the newest value counts: who joins
   * later is told it, and who is slow not those before it, nor does more than the newest wait here for the connection. The
   * others get it, unless `audience` says otherwise; of the room's keys everybody.
   *
   * False if it was not taken: states that wait or are kept have `bufferMax` bytes already, or the room is closed. Throws
   * RangeError for what could never be sent.
   */
  state(key: number, data: Data | null, { room = false }: { room?: boolean } = {}): boolean {
    const taken = this.#client.set(
      data === null ? { packet: "DELETE", key, room } : { packet: "STATE", key, room, payload: payload(data) },
    );
    this.#link.flush();
    return taken === "kept";
  }

  /**
   * Whom a key goes to from now on; with `stays`, it stays as the room's when this player leaves. Returns as `send`, null if
   * it was not taken.
   */
  audience(key: number, to: Audience, { stays = false, room = false }: { stays?: boolean; room?: boolean } = {}): number | null {
    const flags = (to === "others" ? 0 : to === "all" ? 1 : to === "host" ? 3 : 2) + (stays ? 4 : 0) + (room ? 8 : 0);
    return this.#send({ packet: "AUDIENCE", key, flags, ...(typeof to === "object" && to) });
  }

  /** What `snapshot` of the `hosting` does that was given to `join`; null without. */
  snapshot(data: Data): number | null {
    return this.#hosting?.snapshot(data) ?? null;
  }

  /** Bad network for this player alone, to try a game with; all 0: back to normal. In ms and bytes a second. */
  impair({ delay = 0, jitter = 0, rate = 0, cut = 0 } = {}): number | null {
    return this.#send({ packet: "IMPAIR", delay, jitter, rate, cut });
  }

  /** Calls `listener` whenever it happens. Returns what takes that back. */
  on<E extends keyof RoomEvents>(event: E, listener: Listener<E>): () => void {
    let listeners = this.#listeners.get(event);
    if (!listeners) this.#listeners.set(event, (listeners = new Set()));
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  /** Leaves for good: the seat is free. Resolves when the connection is closed. */
  leave(): Promise<void> {
    return this.#link.leave(new RoomError("this player has left", 1000));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.leave();
  }

  /** @internal Sends a packet of those that only `roomcast/host` knows; `seq` is how far this player has been told. */
  act(encode: (term: number, seq: number | null) => Uint8Array | null): number | null {
    const packet = encode(this.#term, this.#client.cursor);
    return packet && this.#send(packet);
  }

  #send(packet: Numbered | Uint8Array): number | null {
    const number = this.#client.send(packet);
    if (typeof number !== "number") return null;
    this.#link.flush();
    return number;
  }

  #enter(groups: number[], within: number): number | null {
    return this.#send({ packet: "GROUPS", only: false, groups: ascending(groups).map((group) => [group, within]) });
  }

  #properties(owner: number): Properties {
    return new Properties(
      (changes) =>
        new Promise((resolve, reject) => {
          const number = this.#send({ packet: "PROPERTIES", owner, changes });
          if (number === null) reject(new RoomError("not sent: too much waits for the relay, or the room is closed", 0));
          else this.#writes.push({ number, resolve, reject });
        }),
    );
  }

  /** Who is not in the room, which an honest relay does not name, is somebody without a name. */
  #player(id: number): Known {
    return this.#players.get(id) ?? this.#somebody(id, "", true);
  }

  #somebody(id: number, name: string, away: boolean): Known {
    return { id, name, away, properties: this.#properties(id), states: new Map() };
  }

  #add(id: number, name: string, away: boolean): Known {
    const player = this.#somebody(id, name, away);
    this.#players.set(id, player);
    return player;
  }

  #hear(news: News): void {
    this.#hosting?.hear(this, news);
    switch (news.packet) {
      case "EVENT":
        return this.#emit("message", { data: news.payload, from: this.#player(news.author), addressed: news.addressed, asHost: news.host });
      case "STATE":
        return this.#stated(news.author, news.key, news.payload);
      case "NOTICE":
        return this.#emit("notice", news.notice);
      case "REMOVED":
        return this.#stated(news.author, news.key, null);
      case "REMOVED_ALL":
        for (const owner of [0, ...this.#players.keys()]) {
          for (const key of [...this.#states(owner).keys()]) this.#stated(owner, key, null);
        }
        return;
      case "REFUSED_STATE":
        return this.#emit("refused", { number: null, key: news.key, reason: REFUSED[news.reason] ?? "other", detail: news.detail });
      case "PLAYER":
        this.#add(news.id, news.name, news.away);
        return;
      case "JOINED": {
        const player = this.#add(news.id, news.name, false);
        player.properties.apply(news.properties);
        return this.#emit("joined", player);
      }
      case "LEFT": {
        const player = this.#player(news.id);
        this.#players.delete(news.id);
        return this.#emit("left", player, LEFT[news.reason] ?? "grace");
      }
      case "AWAY":
      case "BACK": {
        const player = this.#player(news.id);
        player.away = news.packet === "AWAY";
        return this.#emit(player.away ? "away" : "back", player);
      }
      case "PROPERTIES": {
        const { owner, author, changes } = news;
        (owner === 0 ? this.properties : this.#player(owner).properties).apply(changes);
        if (author === 0) return;
        // Writes are answered in their order, and each once: this answers the oldest.
        if (author === this.#client.id) this.#writes.shift()?.resolve();
        const player = (id: number) => (id === 0 ? null : this.#player(id));
        return this.#emit("properties", { owner: player(owner), author: player(author), keys: changes.map(({ key }) => key) });
      }
      case "REFUSED": {
        const { number, detail } = news;
        const reason = REFUSED[news.reason] ?? "other";
        const at = this.#writes.findIndex((write) => write.number === number);
        if (at < 0) return this.#emit("refused", { number, key: null, reason, detail });
        const words = reason === "guard" ? "somebody else was faster" : `the relay refused: ${reason}`;
        return this.#writes.splice(at, 1)[0]!.reject(new RoomError(detail ? `${words} (${detail})` : words, 0));
      }
      case "SETTINGS":
        this.#settings = settings(news.settings);
        if (!this.#welcoming) this.#emit("settings", this.#settings);
        return;
      case "RESET":
        this.#reset = RESET[news.reason] ?? "log";
        return;
      case "HOST":
        this.#host = news.id;
        this.#term = news.term;
        if (!this.#welcoming) this.#emit("host", this.host);
        return;
      case "WELCOME":
        return this.#welcomed(news.applied, news.dropped);
      case "RESUMED":
        this.#resumes++;
        return this.#emit("resumed");
      case "READY":
        if (!this.#welcoming) return;
        this.#welcoming = false;
        if (this.#ready) return this.#ready.resolve(this);
        this.#resets++;
        this.#emit("reset", { reason: this.#reset, dropped: this.#dropped });
        this.#dropped = 0;
        return;
    }
  }

  #states(owner: number): Map<number, Payload> {
    return owner === 0 ? (this.states as Map<number, Payload>) : this.#player(owner).states;
  }

  #stated(owner: number, key: number, data: Payload | null): void {
    const states = this.#states(owner);
    if (data !== null) states.set(key, data);
    // Of what this player never had, nothing is removed.
    else if (!states.delete(key)) return;
    if (!this.#welcoming) this.#emit("state", { from: owner === 0 ? null : this.#player(owner), key, data });
  }

  #welcomed(applied: number, dropped: number): void {
    this.#welcoming = true;
    this.#players.clear();
    this.properties.clear();
    this.#states(0).clear();
    this.#host = this.#term = 0;
    this.#dropped += dropped;
    // What came of writes that were applied is not told any more; of dropped ones nothing will.
    const unknown = this.#writes.filter(({ number }) => dropped > 0 || number < applied);
    this.#writes = this.#writes.filter((write) => !unknown.includes(write));
    for (const { reject } of unknown) {
      reject(new RoomError("something was missed: whether that was done, the properties show", 0));
    }
  }

  #ended(why: RoomError): void {
    this.#ready?.reject(why);
    for (const { reject } of this.#writes.splice(0)) reject(why);
    this.#emit("closed", why);
  }

  #emit<E extends keyof RoomEvents>(event: E, ...args: RoomEvents[E]): void {
    for (const listener of this.#listeners.get(event) ?? []) {
      try {
        listener(...args);
      } catch (error) {
        // A game's mistake is the game's: it is reported like any, and the room goes on.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}

const id = (player: Player | number): number => (typeof player === "number" ? player : player.id);
const ascending = (numbers: number[]): number[] => [...new Set(numbers)].sort((a, b) => a - b);

function payload(data: Data): Payload {
  if (typeof data === "string") return data;
  return ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data);
}

/** What stands for what under which key: a number, or the place in a list. */
const SETTINGS: [key: number, name: keyof Settings, values?: unknown[]][] = [
  [1, "tag"],
  [2, "players"],
  [4, "grace"],
  [6, "roomProperties", ["host", "all"]],
  [8, "raw", [false, true]],
  [12, "ticks"],
  [16, "roomStates", ["host", "all"]],
];

function pairs(wishes: Settings): Pairs {
  return SETTINGS.filter(([, name]) => wishes[name] !== undefined).map(([key, name, values]) => {
    const value = wishes[name];
    return [key, values ? values.indexOf(value) : (value as number | string)];
  });
}

function settings(pairs: Pairs): Settings {
  const known = new Map(pairs);
  return Object.fromEntries(
    SETTINGS.filter(([key]) => known.has(key)).map(([key, name, values]) => {
      const value = known.get(key)!;
      return [name, values ? values[value as number] : key === 1 ? utf8(value as Uint8Array) : value];
    }),
  );
}

function fromText(token: string): Uint8Array {
  if (!/^[\w+/]{22}==$/.test(token)) throw new RangeError("a token is what `room.token` gave");
  return Uint8Array.from(atob(token), (char) => char.charCodeAt(0));
}
