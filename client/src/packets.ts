// The packets of roomcast.v1 as values: their names and fields are those of docs/PROTOCOL.md.
//
// Must not know: sockets, time, what a session allows when. What only a host says is in hosts; what belongs to ticks (see ticks)
// is UNKNOWN as a kind down, which every client skips.

/** What players send each other: text, or bytes. Bytes of an event are a view of the message they came in, those of a state a copy. */
export type Payload = string | Uint8Array;

/** The value of a property; null says that it is deleted. */
export type Value = Payload | null;

/** Settings, wishes and limits by their keys, ascending: numbers under even keys, bytes under odd ones; a text is a name's. */
export type Pairs = [key: number, value: number | Uint8Array | string][];

export interface Property {
  key: string;
  version: number;
  value: Value;
}

export interface Change {
  key: string;
  /** 0: whatever is there. 1: only if the key is not set. v + 1: only if the version of the key is v. */
  guard: number;
  value: Value;
}

/** A packet from the relay. */
export type Down =
  | { packet: "EVENT"; author: number; host: boolean; addressed: boolean; payload: Payload }
  | { packet: "STATE"; author: number; key: number; host: boolean; payload: Payload }
  | { packet: "REMOVED"; author: number; key: number }
  /** Of all keys: those that have a value follow. */
  | { packet: "REMOVED_ALL" }
  | {
      packet: "WELCOME";
      created: boolean;
      minor: number;
      capabilities: number;
      life: Uint8Array;
      id: number;
      token: Uint8Array;
      seq: number;
      applied: number;
      time: number;
      limits: Pairs;
    }
  | { packet: "SETTINGS"; settings: Pairs }
  | { packet: "PLAYER"; id: number; name: string; away: boolean }
  | { packet: "READY" }
  | { packet: "JOINED"; id: number; name: string; properties: Property[] }
  | { packet: "LEFT"; id: number; reason: number }
  | { packet: "AWAY"; id: number }
  | { packet: "BACK"; id: number }
  | { packet: "PROPERTIES"; owner: number; author: number; changes: Property[] }
  | { packet: "RESUMED"; applied: number; time: number }
  | { packet: "RESET"; reason: number }
  | { packet: "REFUSED"; number: number; reason: number; detail: string }
  | { packet: "REFUSED_STATE"; key: number; reason: number; detail: string }
  | { packet: "ACK"; applied: number }
  | { packet: "PONG"; echo: number; time: number }
  | { packet: "KEEPALIVE"; time: number }
  /** `id` 0: nobody is the host. `given`: a snapshot follows, if the host is oneself. */
  | { packet: "HOST"; term: number; id: number; given: boolean }
  | { packet: "LOCKED"; locked: boolean }
  /** `cut`: what was said since is not all there. */
  | { packet: "SNAPSHOT"; seq: number; state: Uint8Array; cut: boolean }
  | { packet: "SNAPSHOT_WANTED"; term: number }
  /** Round-trip times, which only a host asks for: as bytes, which `times` of hosts reads. */
  | { packet: "TRIPS"; trips: Uint8Array }
  /** What the relay's operator says to everybody. */
  | { packet: "NOTICE"; notice: string }
  | { packet: "UNKNOWN"; kind: number; body: Uint8Array };

/** A message from the relay. */
export interface Bundle {
  covered: number;
  packets: Down[];
}

interface Sent {
  payload: Payload;
  droppable: boolean;
  /** It is sent as the host of this term. */
  term?: number;
}

/** A packet to the relay that has a number. */
export type Numbered =
  | ({ packet: "EVENT_OTHERS" } & Sent)
  | ({ packet: "EVENT_ALL" } & Sent)
  | ({ packet: "EVENT_ONE"; to: number } & Sent)
  | ({ packet: "EVENT_LIST"; to: number[] } & Sent)
  | ({ packet: "EVENT_GROUP"; group: number } & Sent)
  | ({ packet: "EVENT_HOST" } & Sent)
  | { packet: "LEAVE" }
  | { packet: "PROPERTIES"; owner: number; changes: Change[] }
  /** `flags`: 0 others, 1 all, 2 a group, 3 the host; + 4: it stays when its author leaves; + 8: the key is the room's. */
  | { packet: "AUDIENCE"; key: number; flags: number; group?: number }
  /** `in`: 1 joins, 0 leaves. `only`: leaves all others. */
  | { packet: "GROUPS"; only: boolean; groups: [group: number, within: number][] }
  | { packet: "IMPAIR"; delay: number; jitter: number; rate: number; cut: number };

export interface Join {
  packet: "JOIN";
  minor: number;
  /** 0 join the room or make it; 1 only join; 2 only make. */
  mode: number;
  token?: Uint8Array;
  life?: Uint8Array;
  seq?: number;
  name: string;
  properties: { key: string; value: Payload }[];
  wishes: Pairs;
}

/** What takes the place of what was said of its key before. `room`: the key is the room's. */
export type Stated =
  | { packet: "STATE"; key: number; room: boolean; payload: Payload }
  | { packet: "DELETE"; key: number; room: boolean };

/** A packet to the relay. */
export type Up = Numbered | Join | Stated | { packet: "PING"; echo: number; trip: number; ticks?: boolean | undefined };
