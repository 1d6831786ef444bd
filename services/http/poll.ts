// /v1/poll: the same as a stream, one answer at a time, for clients behind proxies.
// In: a request with a cursor and how long it waits. Out: events and the cursor to come back with. Never: an answer that passes over an event.
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import { Polled } from "../../schemas/wire/shapes.ts";
import { type Delivery, stillTold, toldEvent } from "../watch/watching.ts";
import type { EventDeps } from "./events.ts";
import { describe } from "./route.ts";
import { readWatchQuery, type WatchQueryShape, watchQuery, wishOf } from "./watch-query.ts";

const waitSecondsMax = 60;

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
      const changed = { wake: (): void => undefined };
      using watcher = await watching.open({
        caller,
        via: "poll",
        targets,
        own: caller !== undefined,
        after,
        onReady: () => changed.wake(),
      });
      const over = new AbortController();
      const gone = new AbortController();
      using _ = streams.add(caller, () => gone.abort());
      const onClose = (): void => gone.abort();
      reply.raw.on("close", onClose);
      const timer = setTimeout(() => over.abort(), (request.query.wait ?? 0) * 1_000);
      for (const { signal } of [over, gone]) signal.addEventListener("abort", () => changed.wake());
      const deliveries: Delivery[] = [];
      try {
        for (;;) {
          const woken = new Promise<void>((resolve) => {
            changed.wake = resolve;
          });
          const taken = watcher.take();
          for (const delivery of taken) deliveries.push(delivery);
          if (taken.length > 0) continue;
          if (gone.signal.aborted) break;
          // The snapshot is waited for whatever the request says: half of it would be of no use.
          if (watcher.isLive && (over.signal.aborted || deliveries.some(isNews))) break;
          await woken;
        }
      } finally {
        clearTimeout(timer);
        reply.raw.off("close", onClose);
      }
      reply.header("cache-control", "no-store");
      // A cursor says what bookmarks say; and that the snapshot is complete, the answer itself says.
      // What was gathered first may have been hidden since.
      const owed = stillTold(deliveries.filter(isNews), caller?.address.text);
      return { events: owed.map(toldEvent), cursor: watcher.last };
    },
  );
}

/** Whether an answer is worth giving before its time. */
function isNews({ shared }: Delivery): boolean {
  return !/stream\.(live|bookmark)$/.test(shared.event.type);
}
