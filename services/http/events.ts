// /v1/events: what a caller watches, as Server-Sent Events (WHATWG HTML §9.2).
// In: a request with targets and perhaps a cursor. Out: a stream of CloudEvents. Never: a second write while the socket is full; the session keeps the latest meanwhile.
import type { IncomingMessage } from "node:http";
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import { type Delivery, toldEvent, type Watcher, type Watching } from "../watch/watching.ts";
import { onceClosed } from "./closing.ts";
import type { Reader } from "./look.ts";
import type { Lookups } from "./lookups.ts";
import { recall } from "./recall.ts";
import { describe } from "./route.ts";
import type { Streams } from "./streams.ts";
import { readWatchQuery, streamQuery, type WatchQueryShape, wishOf } from "./watch-query.ts";

const EventsQuery = Type.Object(streamQuery, { additionalProperties: false });

const heartbeatMs = 15_000;
/** What a client waits before it reconnects. */
const retryMs = 1_000;
/** At the end of a broker its clients come back at different times. */
const drainRetryMsMax = 2_000;

export interface EventDeps {
  readonly reader: Reader;
  readonly watching: Watching;
  readonly streams: Streams;
  readonly lookups: Lookups;
}

export function eventRoutes(app: FastifyInstance, { reader, watching, streams, lookups }: EventDeps): void {
  app.get<{ Querystring: WatchQueryShape }>(
    "/v1/events",
    {
      // A stream without its body would never end.
      exposeHeadRoute: false,
      ...describe({
        id: "events",
        summary: "Watch properties: the present state, then every change, as Server-Sent Events",
        description:
          "Carries every subscription of the caller, and with `watch` more for as long as the stream is open.",
        tag: "Watching",
        access: "caller",
        takesTicket: true,
        headers: { "last-event-id": "A cursor: resume after it." },
        query: EventsQuery,
        answers: {
          200: { description: "CloudEvents.", schema: Type.String(), mediaType: "text/event-stream" },
        },
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
    },
    async (request, reply) => {
      const { caller } = request;
      const { targets, after } = await readWatchQuery(request, reader, request.headers["last-event-id"]);
      await lookups.watch(request, targets.map(wishOf));
      const response = reply.raw;
      const { socket } = request.raw;
      let watcher: Watcher | undefined;
      let isFull = false;

      function write(): void {
        while (watcher !== undefined && !isFull && !response.writableEnded && !response.destroyed) {
          const deliveries = watcher.take();
          if (deliveries.length === 0) return;
          // One system call for all that is owed now: also a group of changes is never half on the wire.
          send(framed(deliveries));
        }
      }

      /** Straight to the socket, once it is this answer's turn: Node would hold each piece back until the end of the tick. */
      function send(piece: Buffer | string): void {
        isFull = !(response.socket ? socket.write(piece) : response.write(piece));
      }

      function onDrain(): void {
        isFull = false;
        write();
      }

      const opened = await watching.open({
        caller,
        via: "sse",
        targets,
        own: caller !== undefined,
        after,
        onReady: write,
        onTakenBack: () => recall(socket, () => isFull),
      });
      reply.hijack();
      // It went while its stream was opened: nothing would tell.
      if (response.destroyed || socket.destroyed) return opened[Symbol.dispose]();
      // The stream lasts as long as its connection: no chunks to frame, one piece of memory for all who are told the same.
      response.shouldKeepAlive = false;
      response.useChunkedEncodingByDefault = false;
      response.writeHead(200, {
        ...reply.getHeaders(),
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-store",
        "x-accel-buffering": "no",
      } as Record<string, string>);
      response.write(`retry: ${retryMs}\n\n`);
      keepAsOne(response);
      forgetHead(request.raw);
      const heartbeat = setInterval(() => {
        if (!isFull) send(": \n\n");
      }, heartbeatMs);
      const stream = streams.add(caller, (why) => {
        const retry = Math.round(Math.random() * drainRetryMsMax);
        response.end(why === "draining" ? `retry: ${retry}\n\n` : "");
      });
      response.on("drain", onDrain);
      socket.on("drain", onDrain);
      response.on("error", () => response.destroy());
      onceClosed(response, socket, () => {
        clearInterval(heartbeat);
        stream[Symbol.dispose]();
        opened[Symbol.dispose]();
      });
      watcher = opened;
      write();
    },
  );
}

/** Node keeps the head of an answer as the pieces that it was built of, a kilobyte a stream; once it was read as one, as one. */
function keepAsOne(response: object): void {
  Number((response as { _header?: string })._header);
}

/** What was asked for is known; nobody reads it again, and the token is nothing to keep. */
function forgetHead(request: IncomingMessage): void {
  request.rawHeaders = [];
  request.headers = {};
}

function framed(deliveries: readonly Delivery[]): Buffer {
  const [first] = deliveries;
  return deliveries.length === 1 ? frame(first as Delivery) : Buffer.concat(deliveries.map(frame));
}

function frame(delivery: Delivery): Buffer {
  const { shared, cursor, skipped } = delivery;
  const { type } = shared.event;
  if (skipped > 0) return block(cursor, type, JSON.stringify(toldEvent(delivery)));
  if (cursor !== shared.cursor) return block(cursor, type, shared.json);
  shared.framed ??= block(cursor, type, shared.json);
  return shared.framed;
}

function block(cursor: string, type: string, json: string): Buffer {
  return Buffer.from(`id: ${cursor}\nevent: ${type}\ndata: ${json}\n\n`);
}
