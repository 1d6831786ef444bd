// /v1/events: what a caller watches, as Server-Sent Events (WHATWG HTML §9.2).
// In: a request with targets and perhaps a cursor. Out: a stream of CloudEvents. Never: a second write while the socket is full; the session keeps the latest meanwhile.
import type { FastifyInstance, FastifyRequest } from "fastify";
import { Type } from "typebox";
import { parseAddress } from "../core/address.ts";
import { type Cursor, parseCursor } from "../core/cursor.ts";
import { parseNamePatterns } from "../core/name-pattern.ts";
import { requireScope } from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import type { Delivery, Target, Watcher, Watching } from "../watch/watching.ts";
import { describe } from "./route.ts";

const EventsQuery = Type.Object(
  {
    watch: Type.Optional(
      Type.Array(Type.String(), {
        description: "address, or address:name,name; may be repeated.",
        maxItems: 1_000,
      }),
    ),
    after: Type.Optional(Type.String({ description: "A cursor: resume after it." })),
  },
  { additionalProperties: false },
);

interface EventsQueryShape {
  watch?: string[];
  after?: string;
}

const heartbeatMs = 15_000;
/** What a client waits before it reconnects. */
const retryMs = 1_000;

export interface EventDeps {
  readonly watching: Watching;
  /** Ends every stream. */
  readonly closing: AbortSignal;
}

export function eventRoutes(app: FastifyInstance, { watching, closing }: EventDeps): void {
  app.get<{ Querystring: EventsQueryShape }>(
    "/v1/events",
    describe({
      id: "events",
      summary: "Watch properties: the present state, then every change, as Server-Sent Events",
      tag: "Watching",
      access: "caller",
      headers: { "last-event-id": "A cursor: resume after it." },
      query: EventsQuery,
      answers: {
        200: { description: "CloudEvents.", schema: Type.String(), mediaType: "text/event-stream" },
      },
      refusals: ["bad-address", "bad-cursor", "bad-name", "scope-missing", "unauthenticated"],
    }),
    async (request, reply) => {
      const targets = (request.query.watch ?? []).map(parseTarget);
      if (request.caller === undefined && targets.length === 0) {
        throw new Refusal("unauthenticated", "Without a token a stream needs ?watch=.");
      }
      if (request.caller) for (const { properties } of targets) requireWatch(request, properties);
      const after = cursorOf(request);
      let watcher: Watcher | undefined;
      let isFull = false;
      const response = reply.raw;

      function write(): void {
        if (watcher === undefined || isFull || response.destroyed) return;
        const deliveries = watcher.session.take();
        if (deliveries.length === 0) return;
        // One system call for all that is owed now: also a group of changes is never half on the wire.
        isFull = !response.write(deliveries.map(frame).join(""));
      }

      const opened = await watching.watch(request.caller, targets, after, {
        onReady: write,
        // The client comes back with its cursor and gets what it missed.
        onOverflow: () => response.destroy(),
      });
      reply.hijack();
      response.writeHead(200, {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-store",
        "x-accel-buffering": "no",
      });
      response.write(`retry: ${retryMs}\n\n`);
      const heartbeat = setInterval(() => {
        if (!isFull) isFull = !response.write(": \n\n");
      }, heartbeatMs);
      const end = (): void => void response.end();
      closing.addEventListener("abort", end, { once: true });
      response.on("drain", () => {
        isFull = false;
        write();
      });
      response.on("error", () => response.destroy());
      response.on("close", () => {
        clearInterval(heartbeat);
        closing.removeEventListener("abort", end);
        opened[Symbol.dispose]();
      });
      watcher = opened;
      if (response.destroyed) opened[Symbol.dispose]();
      else if (closing.aborted) end();
      else write();
    },
  );
}

/** `address` or `address:names`; an address may begin with `acct:`. */
function parseTarget(text: string): Target {
  const bare = text.startsWith("acct:") ? text.slice(5) : text;
  const colon = bare.indexOf(":");
  const node = parseAddress(colon < 0 ? bare : bare.slice(0, colon));
  const names = colon < 0 ? "" : bare.slice(colon + 1);
  if (colon >= 0 && names === "") throw new Refusal("bad-name", "After the colon stand the names to watch.");
  return { node, properties: names === "" ? [] : parseNamePatterns(names) };
}

function requireWatch({ caller }: FastifyRequest, properties: readonly string[]): void {
  if (caller === undefined) return;
  if (properties.length === 0) requireScope(caller, "watch");
  for (const name of properties) requireScope(caller, "watch", name);
}

/** Last-Event-ID comes from a reconnecting client and knows more than the URL that it was first given. */
function cursorOf(request: FastifyRequest<{ Querystring: EventsQueryShape }>): Cursor | undefined {
  const text = request.headers["last-event-id"] ?? request.query.after;
  if (text === undefined || text === "") return undefined;
  if (typeof text !== "string") throw new Refusal("bad-cursor", "One cursor is enough.");
  return parseCursor(text);
}

function frame({ shared: event, skipped }: Delivery): string {
  const head = `id: ${event.cursor}\nevent: ${event.event.type}\ndata: `;
  if (skipped > 0) {
    const declared = { ...event.event, data: { ...event.event.data, skipped } };
    return `${head}${JSON.stringify(declared)}\n\n`;
  }
  event.framed ??= `${head}${event.json}\n\n`;
  return event.framed;
}
