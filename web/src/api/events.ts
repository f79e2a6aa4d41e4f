/**
 * Server-sent events by `fetch`, because an `EventSource` can send no bearer. Nothing here knows what an event means.
 */

export interface ServerEvent {
  name: string;
  data: string;
}

/** Most characters of one event; a longer one is dropped. */
const EVENT_MAX = 256 * 1024;

/** Cuts a stream of text into events (HTML Living Standard, 9.2.6): lines end with LF, CRLF or CR, an empty line ends an event. */
export class EventParser {
  #rest = "";
  #name = "";
  #data: string[] = [];
  #size = 0;

  push(chunk: string): ServerEvent[] {
    const found: ServerEvent[] = [];
    this.#rest += chunk;
    for (;;) {
      const line = this.#line();
      if (line === undefined) break;
      if (line === "") {
        if (this.#data.length > 0 && this.#size <= EVENT_MAX)
          found.push({ name: this.#name || "message", data: this.#data.join("\n") });
        this.#name = "";
        this.#data = [];
        this.#size = 0;
      } else {
        this.#field(line);
      }
    }
    if (this.#rest.length > EVENT_MAX) this.#rest = "";
    return found;
  }

  /** The next whole line. A CR at the very end may be half of a CRLF: it waits for what follows. */
  #line(): string | undefined {
    const end = this.#rest.search(/[\r\n]/);
    if (end < 0 || (this.#rest[end] === "\r" && end === this.#rest.length - 1)) return undefined;
    const line = this.#rest.slice(0, end);
    this.#rest = this.#rest.slice(end + (this.#rest.startsWith("\r\n", end) ? 2 : 1));
    return line;
  }

  #field(line: string): void {
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") this.#name = value;
    if (name === "data") {
      this.#size += value.length;
      if (this.#size <= EVENT_MAX) this.#data.push(value);
    }
  }
}

/** Between tries to connect, ms: doubled up to the second, with a share of chance so that a restarted server is not met by everybody at once. */
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;
/** control-api sends a comment every 15 s; a connection that is silent for longer is dead. */
const SILENT_MS = 40_000;

export interface Listening {
  /** Opens the stream; rejects when it is refused. */
  open(signal: AbortSignal): Promise<Response>;
  heard(event: ServerEvent): void;
  /** After each connect: whatever happened in between was not heard. */
  connected(): void;
  lost(): void;
  /** Whether trying again after this may help. */
  hopeless?(problem: unknown): boolean;
  random?(): number;
}

/** Listens until the answer is called. */
export function listen({
  open,
  heard,
  connected,
  lost,
  hopeless = () => false,
  random = Math.random,
}: Listening): () => void {
  const stopping = new AbortController();
  let pause = FIRST_PAUSE_MS;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const once = async (): Promise<void> => {
    const attempt = new AbortController();
    const stop = () => attempt.abort();
    stopping.signal.addEventListener("abort", stop);
    let silence: ReturnType<typeof setTimeout> | undefined;
    const alive = () => {
      clearTimeout(silence);
      silence = setTimeout(stop, SILENT_MS);
    };
    try {
      alive();
      const answer = await open(attempt.signal);
      connected();
      pause = FIRST_PAUSE_MS;
      const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
      const decoder = new TextDecoder();
      const parser = new EventParser();
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        alive();
        for (const event of parser.push(decoder.decode(value, { stream: true }))) heard(event);
      }
    } finally {
      clearTimeout(silence);
      stopping.signal.removeEventListener("abort", stop);
    }
  };
  const go = async (): Promise<void> => {
    let over = false;
    await once().catch((problem: unknown) => {
      over = hopeless(problem);
    });
    if (stopping.signal.aborted) return;
    lost();
    if (over) return;
    timer = setTimeout(() => void go(), pause * (0.5 + random() / 2));
    pause = Math.min(LONGEST_PAUSE_MS, pause * 2);
  };
  void go();
  return () => {
    clearTimeout(timer);
    stopping.abort();
  };
}
