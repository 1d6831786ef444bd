// A stream from /v1/events that goes on: Server-Sent Events with their cursors, across every break.
// In: a broker, what to watch, a cursor. Out: events in order, one at a time, as their reader takes them. Never: a hole; the broker says stream.reset where one may be.
import { createParser, type EventSourceMessage } from "eventsource-parser";
import { type Rest, RestError } from "./rest.ts";

export interface CloudEvent {
  readonly id: string;
  /** `/nodes/` and an address. */
  readonly source: string;
  readonly subject?: string;
  /** With the prefix `dev.tidings.`. */
  readonly type: string;
  readonly time: string;
  /** How many agents' reactions led to it. */
  readonly hops?: number;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface Told {
  readonly cursor: string;
  readonly event: CloudEvent;
}

export interface StreamOptions {
  /** Targets as `?watch=` takes them. */
  readonly watch: readonly string[];
  /** Undefined: from now on, the present first. */
  readonly after: string | undefined;
  /** The owner's own changes as well. */
  readonly self?: true;
  readonly signal: AbortSignal;
  /** Told of each break, and of what comes after it. */
  readonly onState?: (state: "live" | "broken", why?: string) => void;
}

const waitMsLeast = 250;
const waitMsMost = 10_000;
/** The broker says something every 15 s; after this much silence the connection is dead. */
const silenceMsMax = 45_000;
/** The line of one event: a property is 64 KiB at most, a match names several. */
const eventCharactersMax = 4 * 1024 * 1024;

/** @throws RestError when the broker refuses the stream for good */
export async function* openStream(rest: Rest, options: StreamOptions): AsyncGenerator<Told, void> {
  const { signal, onState = () => undefined } = options;
  let { after } = options;
  let tries = 0;
  while (!signal.aborted) {
    let why = "the broker ended it";
    let waitMs: number | undefined;
    try {
      for await (const told of once(rest, options, after)) {
        if (told === "open") {
          tries = 0;
          onState("live");
          continue;
        }
        if ("retryMs" in told) {
          waitMs = told.retryMs;
          continue;
        }
        after = told.cursor;
        yield told;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof RestError && !error.isPassing) throw error;
      why = (error as Error).message;
      if (error instanceof RestError) waitMs = error.retryAfterMs;
    }
    if (signal.aborted) return;
    onState("broken", why);
    tries++;
    const backoffMs = Math.min(waitMsMost, waitMsLeast * 2 ** (tries - 1)) * (0.5 + Math.random() / 2);
    await pause(tries === 1 ? Math.min(waitMs ?? backoffMs, backoffMs) : (waitMs ?? backoffMs), signal);
  }
}

type Item = Told | "open" | { readonly retryMs: number };

/** One connection. */
async function* once(rest: Rest, options: StreamOptions, after: string | undefined): AsyncGenerator<Item> {
  const query = new URLSearchParams();
  for (const target of options.watch) query.append("watch", target);
  if (options.self) query.append("self", "true");
  const dead = new AbortController();
  const signal = AbortSignal.any([options.signal, dead.signal]);
  const headers = { accept: "text/event-stream", ...(after !== undefined && { "last-event-id": after }) };
  let watchdog = setTimeout(() => dead.abort(), silenceMsMax);
  try {
    const response = await rest.open(`/v1/events?${query}`, { headers, signal });
    yield "open";
    const items: Item[] = [];
    const parser = createParser({
      onEvent: (message) => items.push(toldOf(message)),
      onRetry: (retryMs) => items.push({ retryMs }),
      maxBufferSize: eventCharactersMax,
      onError: (error) => {
        if (error.type === "max-buffer-size-exceeded") throw error;
      },
    });
    const text = (response.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream());
    for await (const piece of text) {
      clearTimeout(watchdog);
      parser.feed(piece);
      // While its reader takes what came, silence is the reader's.
      yield* items.splice(0);
      watchdog = setTimeout(() => dead.abort(), silenceMsMax);
    }
  } finally {
    clearTimeout(watchdog);
    dead.abort();
  }
}

function toldOf({ id, data }: EventSourceMessage): Told {
  return { cursor: id as string, event: JSON.parse(data) as CloudEvent };
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end, { once: true });
    function end(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    }
  });
}
