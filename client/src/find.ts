// The entry `roomcast/find`: rooms of a relay, and one to play in with strangers.
//
// Must not know: what a room is beside its address. Invariant: nothing is asked for twice without need.

import { join, RoomError } from "./index.js";
import type { JoinOptions, Room } from "./room.js";

/** How often another room is asked for, because the one before was full or locked when this player came. */
const TRIES = 5;
const FULL = 4000;
const LOCKED = 4007;

/** A room that was made with a tag, as it was at most a second ago. */
export interface ListedRoom {
  readonly name: string;
  /** Players, away ones included, and how many there may be. */
  readonly players: number;
  readonly players_max: number;
  /** Whoever comes gets in: it is neither full nor locked. */
  readonly open: boolean;
  /** Those of the room's properties that are text, if they are short. */
  readonly properties: Readonly<Record<string, string>>;
}

export interface RoomList {
  /** By their names, 100 at most. */
  readonly rooms: readonly ListedRoom[];
  /** If there are more: what to ask for next, as `after`; else null. */
  readonly after: string | null;
}

/**
 * The rooms of a relay that were made with this tag: `await listRooms("wss://host", { tag: "duel", open: true })`. A ticket goes
 * into the query: `wss://host?ticket=…`. Rejects with a RoomError.
 */
export async function listRooms(url: string | URL, { tag, open = false, after = "" }: { tag: string; open?: boolean; after?: string }): Promise<RoomList> {
  return ask(url, "rooms", { tag, ...(open && { open: "1" }), ...(after && { after }) }) as Promise<RoomList>;
}

/**
 * Joins a room with others who ask for the same, a tag and a number of players: `await quickMatch("wss://host", { tag: "duel",
 * max: 2, name: "Ada" })`. Further options are those of `join`. A game that has begun and wants nobody new locks its room.
 */
export async function quickMatch(url: string | URL, { tag, max, ...options }: { tag: string; max: number } & JoinOptions): Promise<Room> {
  for (let tries = 1; ; tries++) {
    const { name } = (await ask(url, "match", { tag, max: `${max}` })) as { name: string };
    try {
      return await join(address(url, `rooms/${name}`, "ws"), { ...options, wishes: { ...options.wishes, tag, players: max } });
    } catch (error) {
      const taken = error instanceof RoomError && (error.code === FULL || error.code === LOCKED);
      if (!taken || tries === TRIES) throw error;
    }
  }
}

/** Where something is that stands beside a relay's rooms; its query stays. */
function address(url: string | URL, path: string, scheme: "http" | "ws", query: Record<string, string> = {}): URL {
  const there = new URL(url);
  const at = new URL(there.href.replace(/^(?:ws|http)/, scheme));
  at.pathname = `${there.pathname.replace(/\/$/, "")}/${path}`;
  for (const [key, value] of Object.entries(query)) at.searchParams.set(key, value);
  return at;
}

async function ask(url: string | URL, path: string, query: Record<string, string>): Promise<unknown> {
  const from = address(url, path, "http", query);
  const answer = await fetch(from).catch(() => {
    throw new RoomError(`no answer: is the relay up at ${from.origin}, and does it allow this page's origin?`, 1006);
  });
  // What a relay refuses it says in a line that is for people.
  if (!answer.ok) throw new RoomError((await answer.text()).trim() || `${from.pathname}: ${answer.status}`, 0);
  return answer.json();
}
