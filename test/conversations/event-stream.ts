// A reader of Server-Sent Events on fetch, written from the text of WHATWG HTML §9.2 and sharing nothing with the broker.
// In: a URL and headers. Out: events in the order in which they came. Never: a reconnect; a test says when it comes back.

export interface Heard {
  /** The cursor: what the `id` field said. */
  readonly cursor: string;
  readonly event: CloudEvent;
  /** When it came, by performance.now(). */
  readonly atMs: number;
  /** Which piece of the body it came in. */
  readonly piece: number;
}

// biome-ignore lint/suspicious/noExplicitAny: tests look into events of every kind
export type Data = Record<string, any>;

export interface CloudEvent {
  readonly specversion: string;
  readonly id: string;
  readonly source: string;
  readonly subject?: string;
  readonly type: string;
  readonly time: string;
  readonly traceparent?: string;
  readonly data: Data;
}

/** An answer that was not a stream. */
class NoStream extends Error {
  readonly status: number;
  readonly problem: Data;
  constructor(status: number, problem: Data) {
    super(`no stream: ${status} ${JSON.stringify(problem)}`);
    this.status = status;
    this.problem = problem;
  }
  get code(): string {
    return this.problem.code as string;
  }
}

export interface EventStream extends AsyncDisposable {
  /** The next event that nobody has taken. @throws when none comes in time, or the stream has ended */
  next(): Promise<Heard>;
  /** Events that came and were not taken. */
  readonly waiting: readonly Heard[];
  /** Resolves when the broker ended the stream, in whatever way. */
  readonly ended: Promise<void>;
  readonly headers: Headers;
}

const patienceMs = 20_000;

export async function openEventStream(
  url: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<EventStream> {
  const stop = new AbortController();
  const response = await fetch(url, { headers, signal: stop.signal });
  if (response.status !== 200 || response.body === null) {
    throw new NoStream(response.status, (await response.json()) as Data);
  }
  const heard: Heard[] = [];
  let wake = Promise.withResolvers<void>();
  let over = false;

  const ended = read(response.body, (block, piece) => {
    const one = parseBlock(block, piece);
    if (one === undefined) return;
    heard.push(one);
    wake.resolve();
  })
    // A broken connection ends a stream as well as an orderly end does.
    .catch(() => undefined)
    .then(() => {
      over = true;
      wake.resolve();
    });

  return {
    headers: response.headers,
    ended,
    get waiting() {
      return heard;
    },
    async next() {
      const deadline = performance.now() + patienceMs;
      for (;;) {
        const first = heard.shift();
        if (first) return first;
        if (over) throw new Error("the stream has ended");
        wake = Promise.withResolvers<void>();
        const leftMs = deadline - performance.now();
        if (leftMs <= 0) throw new Error(`heard nothing for ${patienceMs / 1000} s`);
        const timer = setTimeout(wake.resolve, leftMs);
        await wake.promise;
        clearTimeout(timer);
      }
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await ended;
    },
  };
}

/** Cuts the body into blocks, which an empty line ends. */
async function read(
  body: ReadableStream<Uint8Array>,
  take: (block: string, piece: number) => void,
): Promise<void> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let text = "";
  let piece = 0;
  for await (const bytes of body) {
    piece++;
    text += decoder.decode(bytes, { stream: true });
    let end = text.indexOf("\n\n");
    while (end >= 0) {
      take(text.slice(0, end), piece);
      text = text.slice(end + 2);
      end = text.indexOf("\n\n");
    }
  }
}

/** One block of `field: value` lines; undefined when it carries no data. */
function parseBlock(block: string, piece: number): Heard | undefined {
  let cursor = "";
  let type = "";
  const data: string[] = [];
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "id") cursor = value;
    else if (field === "event") type = value;
    else if (field === "data") data.push(value);
  }
  if (data.length === 0) return undefined;
  const event = JSON.parse(data.join("\n")) as CloudEvent;
  if (event.type !== type) throw new Error(`the frame says ${type}, its event ${event.type}`);
  return { cursor, event, atMs: performance.now(), piece };
}
