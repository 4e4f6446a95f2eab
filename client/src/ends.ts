// Close codes: who comes back, and what happened, in words (docs/PROTOCOL.md, section 11).

/** What a client does after its connection has ended. */
export type Next = "resume" | "resume later" | "stop";

/** `code`: null if there was none. */
export function next(code: number | null): Next {
  switch (code) {
    case null:
    case 4002:
    case 4005:
      return "resume";
    case 1013:
      return "resume later";
    case 1000:
    case 1002:
    case 1007:
    case 1008:
    case 1009:
      return "stop";
    default:
      return code < 3000 ? "resume" : "stop";
  }
}

// What happened, and what to do.
const WORDS: Record<number, string> = {
  1000: "the relay closed this connection as done: join again if the game goes on",
  1001: "the relay is going away",
  1002: "the relay found WebSocket broken: is something between you and it that changes messages?",
  1006: "the connection broke",
  1007: "the relay got text that is not UTF-8: is something between you and it that changes messages?",
  1008: "this client sent too much: send less often, or let the relay's operator raise its limits",
  1009: "a message was longer than the relay takes: send less at once",
  1011: "the relay failed",
  1012: "the relay restarts",
  1013: "the relay has more than it can do",
  4000: "the room is full: join another, or wait until somebody leaves",
  4001: "you were kicked by the host",
  4002: "this client did not keep up with what it was sent",
  4003: "the host closed the room",
  4004: "this player goes on in another connection: another tab, perhaps, with the same token",
  4005: "the relay heard nothing from this client for too long",
  4006: "the relay and this client don't understand each other: are both up to date?",
  4007: "the room is locked: nobody new gets in",
  4008: 'there is no such room: join without `mode: "join"` to make it',
  4009: 'the room is there already: join without `mode: "make"`, or choose another name',
  4010: "you were kicked from this room and can't come back",
  4011: "the room speaks raw WebSocket messages: choose another, or let it have been made with `wishes: { raw: true }`",
};

/** Why a room could not be joined, or ended: what happened, why, and what to do, in its message. */
export class RoomError extends Error {
  override readonly name = "RoomError";

  constructor(
    message: string,
    /** The WebSocket close code behind it, 0 if there was none. */
    readonly code: number,
  ) {
    super(message);
  }
}

/** `reason` is what the other side gave with the code. */
export function ended(code: number | null, reason: string): RoomError {
  const words = WORDS[code ?? 1006] ?? `the connection was closed (${code})`;
  return new RoomError(reason ? `${words} (${reason})` : words, code ?? 1006);
}
