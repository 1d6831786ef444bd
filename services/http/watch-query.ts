// Watch queries: what a request wants to be told of, and from where on.
// In: a query string and headers. Out: targets and a cursor. Never: a target beyond the reach of the caller's token.
import type { FastifyRequest } from "fastify";
import { Type } from "typebox";
import { parseAddress } from "../core/address.ts";
import { type Cursor, parseCursor } from "../core/cursor.ts";
import { parseNamePatterns } from "../core/name-pattern.ts";
import { Refusal } from "../core/refusal.ts";
import { requireWatchScope, type Target } from "../watch/watching.ts";
import { lookOf, type Reader, revealQuery } from "./look.ts";
import type { Wished } from "./lookups.ts";

export const watchQuery = {
  watch: Type.Optional(
    Type.Array(Type.String(), {
      description: "address, or address:name,name; may be repeated.",
      maxItems: 1_000,
    }),
  ),
  after: Type.Optional(Type.String({ description: "A cursor: resume after it." })),
  self: Type.Optional(Type.Boolean({ description: "The caller's own property changes as well." })),
  ...revealQuery,
};

/** The same for what a browser opens, which cannot send headers there. */
export const streamQuery = {
  ...watchQuery,
  ticket: Type.Optional(Type.String({ description: "In place of the Authorization header, once." })),
};

export interface WatchQueryShape {
  watch?: string[];
  after?: string;
  self?: boolean;
  reveal?: string;
}

export interface WatchQuery {
  readonly targets: readonly Target[];
  readonly after: Cursor | undefined;
}

export async function readWatchQuery(
  { caller, query }: { caller?: FastifyRequest["caller"]; query: WatchQueryShape },
  reader: Reader,
  lastEventId?: string | string[],
  /** A socket is told later what to watch. */
  transport: "stream" | "socket" = "stream",
): Promise<WatchQuery> {
  const watched = (query.watch ?? []).map(parseWatch);
  if (caller === undefined && watched.length === 0 && transport === "stream") {
    throw new Refusal("unauthenticated", "Without a token a stream needs ?watch=.");
  }
  const { disclosed } = await lookOf(caller, query.reveal, reader);
  const targets: Target[] = watched.map((target) => ({ ...target, disclosed }));
  if (caller) {
    for (const { properties } of targets) requireWatchScope(caller, properties);
    if (query.self) targets.push({ node: caller.address, depth: "infinity", properties: [] });
  }
  // Last-Event-ID comes from a reconnecting client and knows more than the URL that it was first given.
  return { targets, after: readCursor(lastEventId ?? query.after) };
}

export function wishOf({ node, properties, disclosed }: Target): Wished {
  return { whom: { address: node }, properties, disclosed };
}

export function readCursor(text: string | string[] | undefined): Cursor | undefined {
  if (text === undefined || text === "") return undefined;
  if (typeof text !== "string") throw new Refusal("bad-cursor", "One cursor is enough.");
  return parseCursor(text);
}

/** `address` or `address:names`; an address may begin with `acct:`. */
function parseWatch(text: string): Target {
  const bare = text.startsWith("acct:") ? text.slice(5) : text;
  const colon = bare.indexOf(":");
  const node = parseAddress(colon < 0 ? bare : bare.slice(0, colon));
  const names = colon < 0 ? "" : bare.slice(colon + 1);
  if (colon >= 0 && names === "") throw new Refusal("bad-name", "After the colon stand the names to watch.");
  return { node, depth: "0", properties: names === "" ? [] : parseNamePatterns(names) };
}
