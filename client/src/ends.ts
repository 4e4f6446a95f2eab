// Close codes: who comes back, and what happened, in words (docs/PROTOCOL.md, section 11).

/** What a client does after its connection has ended. */
export type Next = "resume" | "resume later" | "stop";

/** `code`: null if there was none. */
export function next(code: number | null): Next {
  if (code === 1013) return "resume later";
  if (code === null || code === 4002 || code === 4005) return "resume";
  return code >= 3000 || code in ADVICE ? "stop" : "resume";
}

// What to do, where coming back by itself would be no good. What happened the relay says itself, in the reason of its close frame.
const ADVICE: Record<number, string> = {
  1000: "join again if the game goes on",
  1002: "does something between you and the relay change messages?",
  1007: "does something between you and the relay change messages?",
  1008: "send less, or let the relay's operator raise its limits",
  1009: "send less at once",
  4000: "join another, or wait",
  4004: "another tab with the same token?",
  4006: "are the relay and this client both up to date?",
  4008: 'join without `mode: "join"` to make it',
  4009: 'join without `mode: "make"`, or choose another name',
  4011: "choose another, or make it with `wishes: { raw: true }`",
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
  const happened = reason || (code === null || code === 1006 ? "the connection broke" : `the connection was closed (${code})`);
  const advice = ADVICE[code!];
  return new RoomError(advice ? `${happened}: ${advice}` : happened, code ?? 1006);
}
