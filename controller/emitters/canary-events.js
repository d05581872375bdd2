// Events of the canary-controller emitters in a browser: acknowledged, without repeats, and resumed after a reconnect.
//
//   import { connectEvents } from "./canary-events.js";
//   const events = connectEvents("/chat", { onEvent: (event) => show(event) });
//   events.send({ thread: "t-1", text: "hello" });
//   events.close();
//
// The server names this connection by the `client` parameter of the address (`serve_connection(connection_id=...)`), and
// sends what it had no proof of again to the connection that comes back under it, under the same ids.

/** Ids remembered to drop repeats; the server replays far fewer. */
const REMEMBERED = 2000;
/** Milliseconds between attempts to connect: doubled from the first to the last, with jitter. */
const FIRST_DELAY = 250;
const LONGEST_DELAY = 15000;
/** A connection that has lasted so long starts the delays anew. */
const STEADY = 5000;
/** Close codes after which coming back would be wrong: refused, taken over by a newer connection, not allowed. */
const FINAL_CODES = new Set([1008, 4000, 4401, 4403]);
const RESTARTING = 1012;
const OVERLOADED = 1013;

/**
 * @typedef {object} Options
 * @property {(event: object) => (void | Promise<void>)} onEvent Takes each event once, one after the other. The event is
 *   acknowledged when it returns (or its promise resolves), and reported as failed when it throws.
 * @property {(message: any) => void} [onMessage] Takes whatever else the server sends, parsed if it is JSON.
 * @property {(status: "connecting" | "open" | "waiting" | "closed", detail: object) => void} [onStatus]
 * @property {(error: unknown, event: object) => void} [onError] Hears of an `onEvent` that threw.
 * @property {string} [clientId] This page's name for the connection; made when not given. Never share it between pages.
 * @property {string} [clientParameter] The parameter of the address that carries it; "client" when not given.
 * @property {string | string[]} [protocols] Subprotocols.
 */

/**
 * Connect, and stay connected until `close`.
 * @param {string | URL} address of the socket; relative ones and http(s) are understood.
 * @param {Options} options
 */
export function connectEvents(address, options) {
  return new EventConnection(address, options);
}

class EventConnection {
  #url;
  #options;
  #socket = null;
  #timer = null;
  #attempts = 0;
  #closed = false;
  #seen = new Map(); // event id -> whether it has been handled
  #turn = Promise.resolve();
  #online = () => this.#retryNow();

  constructor(address, options) {
    if (typeof options?.onEvent !== "function") {
      throw new TypeError("connectEvents needs onEvent: a function that takes an event");
    }
    this.#options = options;
    this.clientId = options.clientId ?? newId();
    this.#url = new URL(address, globalThis.location?.href);
    this.#url.protocol = this.#url.protocol.replace("http", "ws");
    this.#url.searchParams.set(options.clientParameter ?? "client", this.clientId);
    globalThis.addEventListener?.("online", this.#online);
    this.#connect();
  }

  /** Whether messages can be sent now. */
  get open() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Send a message of the application; false while there is no connection. */
  send(message) {
    if (!this.open) return false;
    this.#socket.send(typeof message === "string" ? message : JSON.stringify(message));
    return true;
  }

  /** Leave for good. */
  close() {
    this.#end(1000, "closed by the page");
    this.#socket?.close(1000);
  }

  #connect() {
    this.#timer = null;
    this.#tell("connecting", { attempt: this.#attempts });
    const socket = (this.#socket = new WebSocket(this.#url, this.#options.protocols ?? []));
    let opened = 0;
    socket.onopen = () => {
      opened = Date.now();
      this.#tell("open", {});
    };
    socket.onmessage = ({ data }) => this.#receive(socket, data);
    socket.onclose = ({ code, reason }) => {
      if (this.#socket !== socket) return;
      if (opened && Date.now() - opened >= STEADY) this.#attempts = 0;
      this.#lost(code, reason);
    };
  }

  #lost(code, reason) {
    if (this.#closed) return;
    if (FINAL_CODES.has(code)) {
      this.#end(code, reason);
      return;
    }
    const doubled = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** Math.min(this.#attempts, 16));
    // A restarting server has chosen the moment by itself, so that not all clients come at once.
    const full = code === RESTARTING ? FIRST_DELAY : code === OVERLOADED ? Math.max(1000, doubled) : doubled;
    const delay = full * (0.5 + Math.random() / 2);
    this.#attempts += 1;
    this.#tell("waiting", { code, reason, delay });
    this.#timer = setTimeout(() => this.#connect(), delay);
  }

  #retryNow() {
    if (this.#timer === null) return;
    clearTimeout(this.#timer);
    this.#connect();
  }

  #end(code, reason) {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#timer = null;
    globalThis.removeEventListener?.("online", this.#online);
    this.#tell("closed", { code, reason });
  }

  #receive(socket, data) {
    let message = data;
    try {
      message = JSON.parse(data);
    } catch {
      // not JSON: the application may know what it is
    }
    const id = message?.event_id;
    if (typeof id !== "string" || typeof (message.type ?? message.event_type) !== "string") {
      this.#options.onMessage?.(message);
    } else if (!this.#seen.has(id)) {
      this.#remember(id);
      this.#turn = this.#turn.then(() => this.#handle(id, message));
    } else if (this.#seen.get(id)) {
      this.#acknowledge(id); // a repeat: our acknowledgement, or its proof, was lost with the last connection
    }
  }

  async #handle(id, event) {
    try {
      await this.#options.onEvent(event);
    } catch (error) {
      this.#seen.delete(id);
      this.send({ type: "confirmation", event_id: id, status: "failed" });
      this.#options.onError?.(error, event);
      return;
    }
    this.#seen.set(id, true);
    this.#acknowledge(id);
  }

  #acknowledge(id) {
    this.send({ type: "ack", event_id: id });
  }

  #remember(id) {
    this.#seen.set(id, false);
    if (this.#seen.size > REMEMBERED) this.#seen.delete(this.#seen.keys().next().value);
  }

  #tell(status, detail) {
    this.#options.onStatus?.(status, detail);
  }
}

function newId() {
  // randomUUID exists in secure contexts only
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
