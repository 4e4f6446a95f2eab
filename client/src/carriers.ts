// The entry `roomcast/carriers`: a way to the relay where WebSockets don't get through.
//
// Owns: which carrier a host is reached by, and when that is tried anew. Must not know: packets, rooms, how frames are carried.
// Invariant: once it is open it keeps its carrier until it closes; nothing that was sent by one comes by another.

import { guarded } from "./guarded.js";
import type { Socket, SocketConstructor } from "./link.js";
import { Polls } from "./polls.js";

export type Carrier = "ws" | "poll";

export interface CarrierOptions {
  /** What may be used: a WebSocket is tried first. Default: both. */
  use?: readonly Carrier[];
  /** Told what a connection has, once something has come by it. */
  told?: (carrier: Carrier) => void;
  /** For Node before 22: that of the package `ws`. */
  WebSocket?: SocketConstructor;
}

/** So long, in ms, a WebSocket may take to open, and then to bring the first message. */
const FIRST_MAX = 3_000;
/** After so many ms of polling it is tried whether a WebSocket gets through, then each time after twice as many, up to the other. */
const RISE_MIN = 10_000;
const RISE_MAX = 600_000;

/**
 * Pass it to `join(url, { WebSocket: carriers() })`: where a WebSocket can't be opened, or brings nothing, the game goes on by HTTP
 * requests (long polling), with a greater delay and otherwise the same. Pages remember what got through to a host; while they poll, a
 * WebSocket is tried now and then, and taken once it works: the room tells of it as `lost` and `resumed`.
 */
export function carriers({ use = ["ws", "poll"], told = () => {}, WebSocket = globalThis.WebSocket as SocketConstructor }: CarrierOptions = {}): SocketConstructor {
  const options = { use, told, WebSocket };
  return class extends Carried {
    constructor(url: string, protocols: string[]) {
      super(url, protocols, options);
    }
  };
}

class Carried extends EventTarget implements Socket {
  binaryType = "arraybuffer";
  #socket!: Socket;
  /** `Proven`: something has come. */
  #state: "Opening" | "Open" | "Proven" | "Closing" | "Closed" = "Opening";
  #timer: ReturnType<typeof setTimeout> | undefined;
  #url: string;
  #protocols: string[];
  #options: Required<CarrierOptions>;

  constructor(url: string, protocols: string[], options: Required<CarrierOptions>) {
    super();
    this.#url = url;
    this.#protocols = protocols;
    this.#options = options;
    const can = this.#may("ws") && options.WebSocket && !needsPolls(this.#host);
    if (can || !this.#may("poll")) this.#try();
    else this.#carry("poll", new Polls(url, protocols));
  }

  get protocol(): string {
    return this.#socket.protocol;
  }

  get bufferedAmount(): number {
    return this.#socket.bufferedAmount ?? 0;
  }

  send(data: Uint8Array): void {
    this.#socket.send(data);
  }

  close(code?: number, reason?: string): void {
    if (this.#state === "Closed") return;
    clearTimeout(this.#timer);
    this.#state = "Closing";
    this.#socket.close(code, reason);
  }

  get #host(): string {
    return new URL(this.#url).host;
  }

  #may(carrier: Carrier): boolean {
    return this.#options.use.includes(carrier);
  }

  /** A WebSocket, if something comes by it in time. */
  #try(): void {
    this.#carry("ws", new this.#options.WebSocket(this.#url, this.#protocols));
    this.#wait();
  }

  /** Falls if there is no news of the WebSocket in time. */
  #wait(): void {
    clearTimeout(this.#timer);
    if (this.#may("poll")) this.#timer = setTimeout(() => this.#fall(), FIRST_MAX);
  }

  #carry(carrier: Carrier, socket: Socket): void {
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    let words = "";
    const on = (type: Parameters<Socket["addEventListener"]>[0], listener: (event: any) => void) =>
      socket.addEventListener(type, (event) => {
        if (this.#socket === socket && this.#state !== "Closed") listener(event);
      });
    on("open", () => {
      if (this.#state !== "Opening") return;
      this.#state = "Open";
      if (carrier === "ws") this.#wait();
      this.#tell("open");
    });
    on("message", ({ data }) => {
      if (this.#state === "Open") this.#works(carrier);
      this.#tell("message", { data });
    });
    on("error", ({ message }) => (words = message ?? ""));
    on("close", ({ code, reason }) => {
      const proven = this.#state === "Proven" || this.#state === "Closing";
      // With another code it was told to go, so it does get through.
      if (carrier === "ws" && code === 1006 && !proven && this.#may("poll")) return this.#fall();
      if (carrier === "poll" && !proven) needPolls(this.#host, false);
      this.#end(code, reason || words);
    });
  }

  /** Something has come by this carrier. */
  #works(carrier: Carrier): void {
    this.#state = "Proven";
    clearTimeout(this.#timer);
    needPolls(this.#host, carrier === "poll");
    guarded(() => this.#options.told(carrier));
    if (carrier === "poll" && this.#may("ws") && this.#options.WebSocket) this.#look(RISE_MIN);
  }

  /** The WebSocket has failed. What was sent by it may have arrived, so who has it joins anew. */
  #fall(): void {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    if (this.#state === "Opening") {
      this.#carry("poll", new Polls(this.#url, this.#protocols));
    } else {
      needPolls(this.#host, true);
      this.#end(1006, "nothing came over the WebSocket");
    }
    socket.close();
  }

  /** Tries in so many ms whether a WebSocket gets through now. */
  #look(wait: number): void {
    this.#timer = setTimeout(() => {
      const socket = new this.#options.WebSocket(this.#url.replace(/\/rooms\/[^/?]*/, "/echo"), []);
      const late = setTimeout(() => socket.close(), FIRST_MAX);
      let echoed = false;
      socket.addEventListener("open", () => socket.send(new Uint8Array(1)));
      socket.addEventListener("message", () => {
        echoed = true;
        socket.close(1000);
      });
      socket.addEventListener("error", () => {});
      socket.addEventListener("close", () => {
        clearTimeout(late);
        if (this.#state !== "Proven") return;
        if (!echoed) return this.#look(Math.min(RISE_MAX, 2 * wait));
        needPolls(this.#host, false);
        this.#end(1001, "a WebSocket gets through now");
        this.#socket.close();
      });
    }, wait);
  }

  #end(code: number, reason: string): void {
    clearTimeout(this.#timer);
    this.#state = "Closed";
    this.#tell("close", { code, reason });
  }

  #tell(type: string, what: object = {}): void {
    this.dispatchEvent(Object.assign(new Event(type), what));
  }
}

/** Hosts to which no WebSocket got through the last time, and polls did. */
const polled = new Set<string>();
const key = (host: string): string => `roomcast: ${host} needs polls`;

/** What a page may keep from one load to the next; programs may not. */
function storage(): Storage | undefined {
  try {
    return globalThis.document && globalThis.localStorage;
  } catch {
    return undefined;
  }
}

function needsPolls(host: string): boolean {
  return polled.has(host) || !!storage()?.getItem(key(host));
}

function needPolls(host: string, needs: boolean): void {
  if (needs === needsPolls(host)) return;
  if (needs) polled.add(host);
  else polled.delete(host);
  try {
    if (needs) storage()?.setItem(key(host), "1");
    else storage()?.removeItem(key(host));
  } catch {
    // There is no room for it: then it is remembered for as long as the page.
  }
}
