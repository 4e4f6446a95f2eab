// A player's way to the relay: one WebSocket after the other, and the timers of the core.
//
// Owns: sockets, timers, when to try again. Must not know: players, properties, what the game listens to.
// Invariant: what an abandoned socket still delivers reaches nobody.

import { Malformed } from "./bytes.js";
import type { Client, News } from "./client.js";
import { ended, next, RoomError } from "./ends.js";

const SUBPROTOCOL = "roomcast.v1";
/** How long a socket may take to open, in ms. */
const OPENING_MAX = 5_000;
/** Who is refused again tries again within so many ms, and each further time within four times as many, up to the other. */
const AGAIN_MIN = 1_000;
const AGAIN_MAX = 10_000;
/** Before that, so often in ms, the relay is asked whether it is there: for as long as the last says, and then ever less often. */
const ASK_MIN = 250;
const ASK_MAX = 2_000;
const ASK_OFTEN = 2_000;
/**
 * While it is asked a WebSocket is tried too, so many ms later and then ever more seldom, up to the other: Firefox lets a page wait, for
 * up to a minute, with the next one to where several have failed. Once it has answered none is tried without an answer.
 */
const ALONE_MIN = 3_000;
const ALONE_MAX = 300_000;
/** How long an answer may take, in ms. */
const ANSWER_MAX = 1_000;
/** While the socket holds more bytes than this, the rest waits in the client, where a newer state takes an older one's place. */
const SOCKET_BYTES_MAX = 16_384;
/** After so many ms it is asked again how many they are. */
const HELD_AGAIN = 20;
/** Within so many ms if there is a reason to believe that the network is back. */
const HURRY_MAX = 100;

/** After these a connection may be dead, or one possible again. But for the last all get to the window, as the document's bubbles. */
const EVENTS = ["online", "pageshow", "visibilitychange", "change"];
/** Where each is heard: the last of the network, where browsers tell of that. */
const hearing = (event: string): EventTarget | undefined =>
  event === "change" ? (globalThis.navigator as { connection?: EventTarget } | undefined)?.connection : globalThis;

/** What a WebSocket must have: browsers' and Node's own, and that of the package `ws`, do. */
export interface Socket {
  binaryType: string;
  readonly protocol: string;
  readonly bufferedAmount?: number;
  send(data: Uint8Array): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: "open" | "message" | "close" | "error", listener: (event: any) => void): void;
}

export type SocketConstructor = new (url: string, protocols: string[]) => Socket;

export interface LinkEvents {
  news(news: News[]): void;
  /** The connection is gone, another is tried. */
  lost(why: RoomError): void;
  /** Nothing more will come. */
  ended(why: RoomError): void;
}

const hidden = (): boolean | undefined => globalThis.document?.hidden;

/** The caller's clock: microseconds that never go backwards. */
export const now = (): number => Math.floor(performance.now() * 1000);

export class Link {
  bytesIn = 0;
  bytesOut = 0;
  #socket: Socket | undefined;
  #opened = false;
  #tries = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Comes while the relay is asked whether it is there. */
  #asking: ReturnType<typeof setTimeout> | undefined;
  #alone = ALONE_MIN;
  #timerAt = Infinity;
  /** When a socket that does not open is given up, or the next is opened. */
  #deadline = Infinity;
  /** When to look whether a socket that was full takes more. */
  #held = Infinity;
  #flushing = false;
  #done = false;
  readonly #wakeUp = () => this.#hurry();

  #url: string;
  #client: Client;
  #events: LinkEvents;
  #WebSocket: SocketConstructor;

  constructor(url: string, client: Client, events: LinkEvents, WebSocket: SocketConstructor) {
    this.#url = url;
    this.#client = client;
    this.#events = events;
    this.#WebSocket = WebSocket;
    for (const event of EVENTS) hearing(event)?.addEventListener?.(event, this.#wakeUp, true);
    this.#open();
  }

  /** Writes what the client has to write, at the end of this turn of the event loop: in one message, if it fits. */
  flush(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      this.#transmit();
      this.#arm();
    });
  }

  /** Says that the player leaves, and closes. Resolves when the socket is closed. */
  leave(why: RoomError): Promise<void> {
    const socket = this.#socket;
    const messages = this.#client.leave(now());
    if (!socket || this.#done) {
      this.#finish(why);
      return Promise.resolve();
    }
    for (const message of messages) this.#write(socket, message);
    const closed = new Promise<void>((resolve) => {
      // A relay that doesn't answer must not hold up who leaves.
      const timer = setTimeout(resolve, 2_000);
      socket.addEventListener("close", () => {
        clearTimeout(timer);
        resolve();
      });
    });
    socket.close(1000);
    this.#finish(why);
    return closed;
  }

  #open(): void {
    const socket = new this.#WebSocket(this.#url, [SUBPROTOCOL]);
    // What `ws` has to say about a failed upgrade; browsers say nothing.
    let words = "";
    const on = (type: Parameters<Socket["addEventListener"]>[0], listener: (event: any) => void) =>
      socket.addEventListener(type, (event) => {
        if (this.#socket === socket) listener(event);
      });
    this.#socket = socket;
    this.#opened = false;
    this.#deadline = now() + OPENING_MAX * 1000;
    socket.binaryType = "arraybuffer";
    on("open", () => this.#hasOpened(socket));
    on("message", ({ data }) => this.#receive(socket, data));
    on("error", ({ message }) => (words = message ?? ""));
    on("close", ({ code, reason }) => this.#closed(code, reason || words));
    this.#arm();
  }

  #hasOpened(socket: Socket): void {
    if (socket.protocol !== SUBPROTOCOL) {
      socket.close(1000);
      return this.#finish(new RoomError(`what answers at ${this.#url} does not speak ${SUBPROTOCOL}: is it a relay?`, 0));
    }
    this.#asked();
    this.#opened = true;
    this.#deadline = Infinity;
    this.#client.opened(now());
    this.#transmit();
    this.#arm();
  }

  #receive(socket: Socket, data: ArrayBuffer | string): void {
    let news: News[];
    try {
      if (typeof data === "string") throw new Malformed("a text message");
      this.bytesIn += data.byteLength;
      news = this.#client.receive(new Uint8Array(data), now());
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      this.#client.leave(now());
      // At most 123 bytes fit into a close frame, and all these words are ASCII.
      socket.close(4006, error.message.slice(0, 123));
      return this.#finish(ended(4006, error.message));
    }
    if (this.#client.state === "Live") this.#tries = 0;
    if (news.length > 0) this.#events.news(news);
    // Of hidden pages browsers fire timers that were set by timers, one after the other, once a minute: here begins another chain.
    if (hidden()) this.#timerAt = Infinity;
    this.#transmit();
    this.#arm();
  }

  #closed(code: number, reason: string): void {
    const why = this.#opened || code !== 1006 ? ended(code, reason) : this.#unreachable(reason);
    const then = this.#opened ? this.#client.closed(code) : next(code);
    if (then === "stop") this.#finish(why);
    else this.#again(why, code === 1013 ? AGAIN_MIN : 0, code === 1012 ? AGAIN_MIN : ASK_MIN);
  }

  /** Opens another socket when the relay says that it is there; it is asked after a random time, at least `least` ms. */
  #again(why: RoomError, least = 0, ask = ASK_MIN): void {
    this.#socket = undefined;
    const within = (most: number) => Math.random() * Math.min(most, AGAIN_MIN * 4 ** this.#tries);
    let wait = 0;
    if (!this.#asking) {
      wait = least + (this.#tries ? within(AGAIN_MAX) : Math.random() * ask);
      this.#ask(wait, now() + wait * 1000);
    }
    this.#deadline = now() + (wait + this.#alone + within(ALONE_MAX)) * 1000;
    this.#tries++;
    this.#events.lost(why);
    this.#arm();
  }

  /** Asks in so many ms, and again until the relay answers or a socket is open. A socket alone might hang for seconds. */
  #ask(wait: number, since: number): void {
    this.#asking = setTimeout(() => {
      const apart = Math.min(ASK_MAX, Math.max(ASK_MIN, (now() - since) / 1000 - ASK_OFTEN));
      this.#ask(apart * (0.5 + Math.random() / 2), since);
      const url = this.#url.replace("ws", "http").replace(/\/rooms\/.*/, "/readyz");
      fetch(url, { signal: AbortSignal.timeout(ANSWER_MAX) }).then(
        ({ ok }) => {
          if (!ok || !this.#asking) return;
          this.#asked();
          this.#alone = Infinity;
          const stale = this.#socket;
          this.#open();
          stale?.close();
        },
        () => {},
      );
    }, wait);
  }

  #asked(): void {
    clearTimeout(this.#asking);
    this.#asking = undefined;
  }

  /** The network is back, or the page is looked at again: timers may have slept, and connections died. */
  #hurry(): void {
    if (this.#done || hidden()) return;
    this.#client.probe(now());
    this.#wake();
    if (this.#socket) return;
    this.#tries = 0;
    this.#deadline = Math.min(this.#deadline, now() + Math.random() * HURRY_MAX * 1000);
    this.#arm();
  }

  #wake(): void {
    this.#timerAt = Infinity;
    const time = now();
    if (time >= this.#deadline) {
      if (!this.#socket) return this.#open();
      this.#abandon(this.#unreachable(`no answer within ${OPENING_MAX / 1000} s`));
    } else if (!this.#client.wake(time)) {
      this.#abandon(ended(1006, "nothing was heard for 6 s"));
    } else {
      this.#transmit();
    }
    this.#arm();
  }

  #abandon(why: RoomError): void {
    const socket = this.#socket;
    this.#again(why);
    socket?.close();
  }

  #unreachable(reason: string): RoomError {
    const words = `${reason || "no connection"}: is the relay up at ${this.#url}, and does it allow this page's origin?`;
    return new RoomError(words, 1006);
  }

  #transmit(): void {
    this.#held = Infinity;
    if (!this.#opened || !this.#socket) return;
    const time = now();
    for (;;) {
      if (this.#socket.bufferedAmount! > SOCKET_BYTES_MAX) {
        this.#held = time + HELD_AGAIN * 1000;
        return;
      }
      const message = this.#client.transmit(time);
      if (!message) return;
      this.#write(this.#socket, message);
    }
  }

  #write(socket: Socket, message: Uint8Array): void {
    this.bytesOut += message.length;
    socket.send(message);
  }

  /** One timer, moved only if something is due sooner: it may come for nothing, but is not set anew with each message. */
  #arm(): void {
    if (this.#done) return;
    const at = Math.min(this.#deadline, this.#held < Infinity ? this.#held : this.#client.due());
    if (at >= this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = setTimeout(() => this.#wake(), Math.ceil((at - now()) / 1000));
  }

  #finish(why: RoomError): void {
    if (this.#done) return;
    this.#done = true;
    this.#socket = undefined;
    clearTimeout(this.#timer);
    this.#asked();
    for (const event of EVENTS) hearing(event)?.removeEventListener?.(event, this.#wakeUp, true);
    this.#events.ended(why);
  }
}
