// /v1/poll: the same as a stream, one answer at a time, for clients behind proxies.
// In: a request with a cursor and how long it waits. Out: events and the cursor to come back with. Never: an answer that passes over an event; more of it in memory than of a stream.
import { Readable } from "node:stream";
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import { Polled } from "../../schemas/wire/shapes.ts";
import { type Delivery, toldEvent, type Watcher } from "../watch/watching.ts";
import { onceClosed } from "./closing.ts";
import type { EventDeps } from "./events.ts";
import { recall, recallMs } from "./recall.ts";
import { describe } from "./route.ts";
import { readWatchQuery, type WatchQueryShape, watchQuery, wishOf } from "./watch-query.ts";

const waitSecondsMax = 60;
/** Characters of an answer that are written at a time. */
const partMax = 64 * 1024;

const PollQuery = Type.Object(
  {
    ...watchQuery,
    wait: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: waitSecondsMax,
        description: "Seconds to wait for an event when there is none yet; 0 if absent.",
      }),
    ),
  },
  { additionalProperties: false },
);

export function pollRoutes(app: FastifyInstance, { reader, watching, streams, lookups }: EventDeps): void {
  app.get<{ Querystring: WatchQueryShape & { wait?: number } }>(
    "/v1/poll",
    describe({
      id: "poll",
      summary: "Watch properties: what happened after a cursor, or the present state without one",
      tag: "Watching",
      access: "caller",
      query: PollQuery,
      answers: { 200: { description: "Events, and the cursor for the next poll.", schema: Polled } },
      refusals: [
        "bad-address",
        "bad-cursor",
        "bad-name",
        "blocked",
        "reveal-required",
        "scope-missing",
        "unauthenticated",
      ],
    }),
    async (request, reply) => {
      const { caller } = request;
      const { targets, after } = await readWatchQuery(request, reader);
      await lookups.watch(request, targets.map(wishOf));
      const { socket } = request.raw;
      const over = new AbortController();
      const gone = new AbortController();
      const polling: Polling = {
        over: over.signal,
        gone: gone.signal,
        wake: () => undefined,
        leftUntilMs: Number.POSITIVE_INFINITY,
        isLeft: false,
        cutOff: () => void socket.resetAndDestroy(),
      };
      const takeBack = (): void => {
        recall(socket, () => socket.writableNeedDrain);
        // What was taken before and is not written yet.
        if (polling.isLeft) polling.leftUntilMs = Math.min(polling.leftUntilMs, performance.now() + recallMs);
      };
      for (const { signal } of [over, gone]) signal.addEventListener("abort", () => polling.wake());
      const watcher = await watching.open({
        caller,
        via: "poll",
        targets,
        own: caller !== undefined,
        after,
        onReady: () => polling.wake(),
        onTakenBack: takeBack,
      });
      const stream = streams.add(caller, () => {
        gone.abort();
        takeBack();
      });
      const timer = setTimeout(() => over.abort(), (request.query.wait ?? 0) * 1_000);
      const end = (): void => {
        gone.abort();
        clearTimeout(timer);
        stream[Symbol.dispose]();
        watcher[Symbol.dispose]();
      };
      // Until then a part of it may be on its way, and be taken back.
      onceClosed(reply.raw, socket, end);
      reply.header("cache-control", "no-store").type("application/json; charset=utf-8");
      const answer = parts(watcher, polling);
      const first = await answer.next();
      return reply.send(first.done ? first.value : Readable.from(inOrder(first.value, answer)));
    },
  );
}

interface Polling {
  /** It has waited for as long as it was to. */
  readonly over: AbortSignal;
  /** Its reader has left, or is to. */
  readonly gone: AbortSignal;
  /** There may be something to take, or nothing more to wait for. */
  wake(): void;
  /** Whether something that was taken is not written yet: its reader has come to a part of it. */
  isLeft: boolean;
  /** Until when it may be written: it may be hidden now. */
  leftUntilMs: number;
  /** Its reader comes back with the cursor that it had. */
  cutOff(): void;
}

async function* inOrder(first: string, others: AsyncGenerator<string, string>): AsyncGenerator<string> {
  yield first;
  yield yield* others;
}

/** Polled, as its reader takes it: the cursor comes last, and stands for all that came before it. @returns the last part */
async function* parts(watcher: Watcher, polling: Polling): AsyncGenerator<string, string> {
  const { over, gone } = polling;
  let hasNews = false;
  let part = '{"events":[';
  for (;;) {
    const woken = new Promise<void>((resolve) => {
      polling.wake = resolve;
    });
    const taken = watcher.take();
    // The snapshot is waited for whatever the request says: half of it would be of no use.
    // What comes after it while a slow reader takes it is the next answer's.
    const { isLive } = watcher;
    for (const delivery of taken) {
      if (!isNews(delivery)) continue;
      const { skipped, shared } = delivery;
      part += `${hasNews ? "," : ""}${skipped === 0 ? shared.json : JSON.stringify(toldEvent(delivery))}`;
      hasNews = true;
      if (part.length < partMax) continue;
      polling.isLeft = true;
      yield part;
      if (performance.now() > polling.leftUntilMs) polling.cutOff();
      part = "";
    }
    polling.isLeft = false;
    polling.leftUntilMs = Number.POSITIVE_INFINITY;
    if (gone.aborted || (isLive && (hasNews || over.aborted))) break;
    if (taken.length > 0) continue;
    // What waits here may be hidden meanwhile.
    if (hasNews && part !== "") {
      yield part;
      part = "";
    }
    await woken;
  }
  // A cursor says what bookmarks say; and that the snapshot is complete, the answer itself says.
  return `${part}],"cursor":${JSON.stringify(watcher.last)}}`;
}

/** Whether an answer is worth giving before its time. */
function isNews({ shared }: Delivery): boolean {
  return !/stream\.(live|bookmark)$/.test(shared.event.type);
}
