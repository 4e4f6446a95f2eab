// A socket without a WebSocket: frames that HTTP requests carry (docs/HTTP.md).
//
// Owns: a session with the relay, the frames that it has not taken yet, how many have come down. Must not know: what frames say, and
// whether a WebSocket would do. Invariant: each frame goes up and comes down once and in order, whatever becomes of a request, for as
// long as the session lives.

import type { Socket } from "./link.js";

/** How long an answer may take beyond what the relay may hold it back, in ms. */
const ANSWER_MAX = 5_000;
/** A request that fails is made again after so many ms, then after twice as many, up to the other. */
const AGAIN_MIN = 100;
const AGAIN_MAX = 1_000;
/** A session that nothing is heard of for so many ms is given up. */
const FAILING_MAX = 5_000;
/** So long who leaves insists on being heard. */
const LEAVING_MAX = 2_000;

const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

/** What was answered, whole. */
interface Answer {
  status: number;
  body: Uint8Array;
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const text = ({ body }: Answer): string => new TextDecoder().decode(body).trim();

export class Polls extends EventTarget implements Socket {
  binaryType = "arraybuffer";
  protocol = "";
  /** Bytes that the relay has not taken yet. */
  bufferedAmount = 0;
  #state: "Opening" | "Open" | "Closing" | "Closed" = "Opening";
  /** Where the session is asked. */
  #at = "";
  /** As long as the relay may hold back an answer to a poll, in ms, and what it takes at once, in bytes. */
  #hold = 0;
  #upMax = 0;
  /** Frames that the relay has not taken, and the number of the first. */
  #frames: Uint8Array[] = [];
  #taken = 0;
  /** The frames are on their way up, until this resolves. */
  #rising: Promise<void> | undefined;
  /** Ends what waits for an answer. */
  readonly #stop = new AbortController();

  constructor(url: string, [protocol]: string[]) {
    super();
    void this.#open(new URL(url.replace(/^ws/, "http")), protocol ?? "");
  }

  send(data: Uint8Array): void {
    if (this.#state === "Open") this.#push(BINARY, data);
  }

  /** With 1000 the player leaves, once what was sent before has gone up; else it is only gone, and may come back. */
  close(code = 1005): void {
    if (this.#state === "Closing" || this.#state === "Closed") return;
    if (this.#state !== "Open" || code !== 1000) return this.#end(code);
    this.#state = "Closing";
    this.#stop.abort();
    void this.#leave(code);
  }

  async #leave(code: number): Promise<void> {
    await this.#up();
    // Else nobody was there to hear what was sent before.
    if (this.#state === "Closing") await this.#ask("/close", "").catch(() => {});
    this.#end(code);
  }

  async #open(room: URL, protocol: string): Promise<void> {
    // What is in an address may be logged on the way; a content is not.
    const ticket = room.searchParams.get("ticket") ?? "";
    room.searchParams.delete("ticket");
    if (protocol) room.searchParams.set("protocol", protocol);
    this.#at = `${room.origin}${room.pathname}/http`;
    try {
      const answer = await this.#ask(room.search, ticket, this.#stop.signal);
      if (answer.status !== 200) return this.#end(1006, text(answer));
      const { id, hold_ms, up_bytes } = JSON.parse(text(answer)) as { id: string; hold_ms: number; up_bytes: number };
      this.#at += `/${id}`;
      this.#hold = hold_ms;
      this.#upMax = up_bytes;
    } catch {
      return this.#end(1006, "no session");
    }
    if (this.#state !== "Opening") return;
    this.#state = "Open";
    this.protocol = protocol;
    this.#tell("open");
    for (let count = 0; this.#state === "Open"; ) count += await this.#poll(count);
  }

  /** Asks for what follows so many frames; returns how many came. */
  async #poll(count: number): Promise<number> {
    const answer = await this.#insist(`/poll?ack=${count}`, undefined, this.#hold);
    if (answer?.status === 204) await sleep(AGAIN_MIN);
    if (answer?.status !== 200) return 0;
    let came = 0;
    try {
      for (const [opcode, payload] of frames(answer.body)) {
        came++;
        this.#heard(opcode, payload);
      }
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.#end(1002, "what came is no frames");
    }
    return came;
  }

  #heard(opcode: number, payload: Uint8Array): void {
    if (this.#state !== "Open") return;
    if (opcode === PING) this.#push(PONG, payload);
    else if (opcode === CLOSE) this.#end(payload.length < 2 ? 1005 : payload[0]! * 256 + payload[1]!, new TextDecoder().decode(payload.subarray(2)));
    else if (opcode !== PONG) this.#tell("message", { data: opcode === BINARY ? payload.slice().buffer : new TextDecoder().decode(payload) });
  }

  #push(opcode: number, payload: Uint8Array): void {
    this.#frames.push(frame(opcode, payload));
    this.bufferedAmount += this.#frames.at(-1)!.length;
    void this.#up();
  }

  /** Resolves when all frames have been taken, or the session is over. */
  #up(): Promise<void> {
    return (this.#rising ??= this.#rise().finally(() => (this.#rising = undefined)));
  }

  async #rise(): Promise<void> {
    // What is sent in one turn of the event loop goes together.
    await null;
    while (this.#frames.length > 0) {
      let [count, bytes] = [0, 0];
      while (count < this.#frames.length && (count === 0 || bytes + this.#frames[count]!.length <= this.#upMax)) bytes += this.#frames[count++]!.length;
      const answer = await this.#insist(`/up?seq=${this.#taken}`, new Blob(this.#frames.slice(0, count) as BlobPart[]));
      if (answer?.status !== 204) return;
      this.#frames.splice(0, count);
      this.#taken += count;
      this.bufferedAmount -= bytes;
    }
  }

  /** Makes a request until it is answered, or the session is over: then that was told, and it is null. */
  async #insist(path: string, body?: Blob, hold = 0): Promise<Answer | null> {
    let failing = Infinity;
    for (let wait = AGAIN_MIN; ; wait = Math.min(AGAIN_MAX, 2 * wait)) {
      const answer = await this.#ask(path, body, body ? undefined : this.#stop.signal, hold).catch(() => null);
      if (this.#state === "Closed" || (!body && this.#state !== "Open")) return null;
      switch (answer?.status) {
        case 200:
        case 204:
          return answer;
        case 409:
          this.#end(1006, "the session went wrong");
          return null;
        case 410:
          this.#end(gone(answer), "the session is over");
          return null;
      }
      failing = Math.min(failing, performance.now());
      if (performance.now() - failing >= (this.#state === "Closing" ? LEAVING_MAX : FAILING_MAX)) {
        this.#end(1006, "no answer");
        return null;
      }
      await sleep(wait * (0.5 + Math.random() / 2));
    }
  }

  /** Neither method, fields nor content need a preflight of CORS. Rejects if there is no whole answer. */
  async #ask(path: string, body?: Blob | string, stop?: AbortSignal, hold = 0): Promise<Answer> {
    const late = AbortSignal.timeout(hold + ANSWER_MAX);
    const answer = await fetch(`${this.#at}${path}`, {
      method: body === undefined ? "GET" : "POST",
      cache: "no-store",
      signal: stop ? AbortSignal.any([late, stop]) : late,
      ...(body !== undefined && { body }),
    });
    return { status: answer.status, body: new Uint8Array(await answer.arrayBuffer()) };
  }

  #end(code: number, reason = ""): void {
    if (this.#state === "Closed") return;
    this.#state = "Closed";
    this.#frames = [];
    this.#stop.abort();
    this.#tell("close", { code, reason });
  }

  #tell(type: string, what: object = {}): void {
    this.dispatchEvent(Object.assign(new Event(type), what));
  }
}

/** The code of a session that is over, if the relay still knows it. */
function gone(answer: Answer): number {
  try {
    return (JSON.parse(text(answer)) as { code?: number }).code ?? 1006;
  } catch {
    return 1006;
  }
}

/** A whole frame, not masked (RFC 6455, section 5.2). */
function frame(opcode: number, payload: Uint8Array): Uint8Array {
  const { length } = payload;
  const head = new DataView(new ArrayBuffer(length < 126 ? 2 : length < 65_536 ? 4 : 10));
  head.setUint8(0, 0x80 + opcode);
  head.setUint8(1, length < 126 ? length : length < 65_536 ? 126 : 127);
  if (head.byteLength === 4) head.setUint16(2, length);
  if (head.byteLength === 10) head.setBigUint64(2, BigInt(length));
  const whole = new Uint8Array(head.byteLength + length);
  whole.set(new Uint8Array(head.buffer));
  whole.set(payload, head.byteLength);
  return whole;
}

/** The frames in `bytes`. Throws RangeError if they are not whole ones, unmasked and unfragmented. */
function* frames(bytes: Uint8Array): Generator<[opcode: number, payload: Uint8Array]> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < bytes.length; ) {
    const first = view.getUint8(at++);
    let length = view.getUint8(at++);
    if (length === 126) [length, at] = [view.getUint16(at), at + 2];
    else if (length === 127) [length, at] = [Number(view.getBigUint64(at)), at + 8];
    else if (length > 127) throw new RangeError("masked");
    if ((first & 0xf0) !== 0x80 || length > bytes.length - at) throw new RangeError("not whole");
    yield [first & 15, bytes.subarray(at, at + length)];
    at += length;
  }
}
