// The entry `roomcast/host`: what being the host of a room takes, beside what every player has.
//
// Owns: what a host leaves with the relay and gets from it, its powers, and whether this page would be the host. Must not know:
// sockets, what is played. Invariant: what is sent as the host is sent in the term in which this player believes that it is.

import type { News } from "./client.js";
import { Malformed } from "./bytes.js";
import { guarded } from "./guarded.js";
import { type Act, encode, times } from "./hosts.js";
import type { Data, Hears, Player, Room } from "./room.js";
import type { Payload } from "./packets.js";

/** Something that was said after a snapshot. */
export interface Said {
  readonly data: Payload;
  /** Null: somebody who is gone. */
  readonly from: Player | null;
  readonly asHost: boolean;
}

/** The game as a host has left it with the relay. */
export interface Saved {
  /** What was given to `snapshot`. */
  readonly data: Uint8Array;
  /** What players have said since then to all or to the host, in order: some of it this player has heard as messages. */
  readonly since: readonly Said[];
  /** The first of that is missing. */
  readonly cut: boolean;
}

export interface HostingOptions {
  /** The game goes on from here: this player becomes the host, or has joined late (before `join` resolves). */
  restore?: (saved: Saved) => void;
  /** The game as it is now: asked for while this player is the host and much was said since the last time. */
  save?: () => Data;
  /** What `askTrips` asked for, in ms by player; several times, if they are many. */
  trips?: (trips: ReadonlyMap<Player, number>) => void;
}

/** Pass it to `join(url, { hosting })`: then this player may be the host. For one room. */
export class Hosting implements Hears {
  #options: HostingOptions;
  #room: Room | undefined;
  #coming: { data: Uint8Array; since: Said[]; cut: boolean } | null = null;
  #locked = false;
  #willing = true;
  readonly #look = () => void this.#say();

  constructor(options: HostingOptions = {}) {
    this.#options = options;
  }

  /** The host has locked the room: nobody new is let in. */
  get locked(): boolean {
    return this.#locked;
  }

  /**
   * Leaves the game with the relay, as it is now, for the next host and for who joins later: they get it, and what was said
   * since this host was last told something. So let a host say what changes the game to "all", and do it when it hears that
   * itself: then nothing is done twice. Returns as `room.send`; null also while this player is still being told how things stand.
   */
  snapshot(data: Data): number | null {
    const state = typeof data === "string" ? new TextEncoder().encode(data) : ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data);
    return this.#act((term, seq) => (seq === null ? null : { packet: "SNAPSHOT", term, seq, state }));
  }

  /** Puts a player out; its seat stays barred. */
  kick(player: Player | number): number | null {
    return this.#act((term) => ({ packet: "KICK", term, id: id(player) }));
  }

  /** Lets nobody new in, or everybody again. */
  lock(locked = true): number | null {
    return this.#act((term) => ({ packet: "LOCK", term, locked }));
  }

  /** Ends the room, for all. */
  close(): number | null {
    return this.#act((term) => ({ packet: "CLOSE", term }));
  }

  /** Makes another player the host. */
  handOver(player: Player | number): number | null {
    return this.#act((term) => ({ packet: "HAND_OVER", term, id: id(player) }));
  }

  /**
   * Asks for everybody's round-trip time: `trips` is told. Players say theirs every few seconds from the first time on, so the first
   * answer may have none.
   */
  askTrips(): number | null {
    return this.#act((term) => ({ packet: "TRIPS", term }));
  }

  /** Whether this player would be the host. It would, unless it says otherwise; a page that is hidden says so by itself. */
  willing(willing: boolean): number | null {
    this.#willing = willing;
    return this.#say();
  }

  /** @internal */
  hear(room: Room, news: News): void {
    if (!this.#room) {
      this.#room = room;
      globalThis.document?.addEventListener("visibilitychange", this.#look);
      room.on("closed", () => globalThis.document?.removeEventListener("visibilitychange", this.#look));
    }
    switch (news.packet) {
      case "WELCOME":
        this.#coming = null;
        this.#locked = false;
        return;
      case "LOCKED":
        this.#locked = news.locked;
        return;
      case "SNAPSHOT":
        this.#coming = { data: news.state.slice(), since: [], cut: news.cut };
        return;
      case "TAIL":
        if (news.said.packet === "EVENT") {
          const { payload, author, host } = news.said;
          this.#coming?.since.push({ data: payload.slice(), from: room.players.get(author) ?? null, asHost: host });
        }
        return;
      case "READY": {
        const saved = this.#coming;
        this.#coming = null;
        if (!this.#willing || hidden()) this.#say();
        if (saved) guarded(() => this.#options.restore?.(saved));
        return;
      }
      case "TRIPS":
        guarded(() => this.#options.trips?.(trips(room, news.trips)));
        return;
      case "SNAPSHOT_WANTED":
        guarded(() => this.#options.save && this.snapshot(this.#options.save()));
        return;
    }
  }

  #say(): number | null {
    return this.#act(() => ({ packet: "WILLING", willing: this.#willing, visible: !hidden() }));
  }

  #act(act: (term: number, seq: number | null) => Act | null): number | null {
    return (
      this.#room?.act((term, seq) => {
        const packet = act(term, seq);
        return packet && encode(packet);
      }) ?? null
    );
  }
}

/** In ms, of those who are in the room. What is malformed says nothing: of the session it is no part. */
function trips(room: Room, bytes: Uint8Array): Map<Player, number> {
  const known = new Map<Player, number>();
  try {
    for (const [id, micros] of times(bytes)) {
      const player = room.players.get(id);
      if (player) known.set(player, micros / 1000);
    }
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
  }
  return known;
}

const id = (player: Player | number): number => (typeof player === "number" ? player : player.id);
const hidden = (): boolean => globalThis.document?.visibilityState === "hidden";
