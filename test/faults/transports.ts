// Transports: one way to hear over Server-Sent Events, poll and WebSocket, each on an independent client, so that a watcher may change between them.
// In: where, as whom, what is watched, a cursor. Out: what is told, with where to resume once it was taken. Never: a reconnect.
import { EventEmitter, on } from "node:events";
import { EventSource } from "eventsource";
import { type CloudEvent, openEventStream } from "../conversations/event-stream.ts";
import { openSocket } from "../conversations/socket.ts";

export interface Told {
  /** Nothing happened: there is but a cursor. */
  readonly event: CloudEvent | undefined;
  /** Where to resume from now on; undefined: where one would have before. */
  readonly cursor: string | undefined;
}

export interface Connection extends AsyncDisposable {
  /** @throws once the connection is over */
  next(): Promise<Told>;
}

export interface Visit {
  readonly url: string;
  readonly token: string;
  /** Undefined: all subscriptions that are kept. */
  readonly watch: string | undefined;
  readonly after: string | undefined;
}

/** @throws with a `status` when it is refused */
type Transport = (visit: Visit) => Promise<Connection>;

export const transports: Readonly<Record<string, Transport>> = { sse, eventSource, poll, socket };

const types = [
  ...["property.changed", "property.removed", "node.registered", "subscription.active"],
  ...["stream.live", "stream.bookmark", "stream.reset", "message.received"],
].map((type) => `dev.tidings.${type}`);

/** Comes with Last-Event-ID, as a client that reconnects by itself. */
async function sse({ url, token, watch, after }: Visit): Promise<Connection> {
  return await openEventStream(`${url}/v1/events${queryOf(watch)}`, {
    authorization: `Bearer ${token}`,
    ...(after !== undefined && { "last-event-id": after }),
  });
}

/** Comes with ?after=, as a client that was started anew. */
async function eventSource({ url, token, watch, after }: Visit): Promise<Connection> {
  const source = new EventSource(`${url}/v1/events${queryOf(watch, after)}`, {
    fetch: (input, init) =>
      fetch(input, { ...init, headers: { ...init.headers, authorization: `Bearer ${token}` } }),
  });
  const relay = new EventEmitter();
  const told = on(relay, "told");
  for (const type of types) {
    source.addEventListener(type, ({ data, lastEventId }) => {
      relay.emit("told", { event: JSON.parse(data), cursor: lastEventId });
    });
  }
  const opened = Promise.withResolvers<void>();
  const end = (why: string, status?: number): void => {
    source.close();
    const error = Object.assign(new Error(why), { status });
    opened.reject(error);
    relay.emit("error", error);
  };
  source.addEventListener("open", () => opened.resolve());
  source.addEventListener("error", ({ message, code }) => end(message ?? "the stream has ended", code));
  await opened.promise;
  return {
    next: async () => ((await told.next()).value as [Told])[0],
    [Symbol.asyncDispose]: async () => end("left"),
  };
}

async function poll({ url, token, watch, after }: Visit): Promise<Connection> {
  const cut = new AbortController();
  const here: Told[] = [];
  let cursor = after;
  return {
    async next() {
      if (here.length === 0) {
        const query = `${queryOf(watch, cursor)}${(watch ?? cursor) ? "&" : "?"}wait=1`;
        const response = await fetch(`${url}/v1/poll${query}`, {
          headers: { authorization: `Bearer ${token}` },
          signal: cut.signal,
        });
        const { status } = response;
        if (status !== 200) throw Object.assign(new Error(`no poll: ${status}`), { status });
        const answer = (await response.json()) as { events: CloudEvent[]; cursor: string };
        cursor = answer.cursor;
        // Whoever has not taken the last of them comes back for all of them.
        here.push(...answer.events.map((event) => ({ event, cursor: undefined })));
        here.push({ event: undefined, cursor });
      }
      return here.shift() as Told;
    },
    [Symbol.asyncDispose]: async () => cut.abort(),
  };
}

async function socket({ url, token, watch, after }: Visit): Promise<Connection> {
  return await openSocket(url, { token, query: queryOf(watch, after) });
}

function queryOf(watch: string | undefined, after?: string): string {
  const query = new URLSearchParams();
  if (watch !== undefined) query.set("watch", watch);
  if (after !== undefined) query.set("after", after);
  return query.size === 0 ? "" : `?${query}`;
}
