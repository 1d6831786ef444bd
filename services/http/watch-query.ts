// Watch queries: what a request wants to be told of, and from where on.
// In: a query string and headers. Out: targets and a cursor. Never: a target beyond the reach of the caller's token.
import type { FastifyRequest } from "fastify";
import { Type } from "typebox";
import { parseAddress } from "../core/address.ts";
import { type Cursor, parseCursor } from "../core/cursor.ts";
import { parseNamePatterns } from "../core/name-pattern.ts";
import type { Principal } from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import { contactsOf, peopleIn } from "../core/roster.ts";
import { requireWatchScope, type Target } from "../watch/watching.ts";
import { lookOf, type Reader, revealQuery } from "./look.ts";
import type { Wished } from "./lookups.ts";

/** The property that holds the caller's contacts. */
const rosterName = "contacts";
/** Stands for all of them: no address, since it has no @. */
const rosterWord = "roster";

export const watchQuery = {
  watch: Type.Optional(
    Type.Array(Type.String(), {
      description:
        "address, or address:name,name; may be repeated. `roster` or roster:name,name stands for each of the caller's contacts, as they are when this is asked.",
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
  const watched: Target[] = [];
  let rosters = 0;
  for (const text of query.watch ?? []) {
    const names = namesAfter(rosterWord, text);
    if (names === undefined) watched.push(parseWatch(text));
    else if (++rosters > 1)
      throw new Refusal("bad-request", "The roster is watched once, all names in one list.");
    else watched.push(...(await rosterTargets(caller, names, reader)));
  }
  if (caller === undefined && watched.length === 0 && transport === "stream") {
    throw new Refusal("unauthenticated", "Without a token a stream needs ?watch=.");
  }
  const { disclosed } = await lookOf(caller, query.reveal, reader);
  const targets: Target[] = eachOnce(watched).map((target) => ({ ...target, disclosed }));
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

/** What is asked for again is watched once: each watch has a snapshot of its own, and is asked about each change. */
function eachOnce(watched: readonly Target[]): readonly Target[] {
  const byWish = new Map<string, Target>();
  for (const target of watched) {
    const { isOfRoster = false, node, properties } = target;
    const wish = `${isOfRoster} ${node.text} ${[...new Set(properties)].sort().join(",")}`;
    if (!byWish.has(wish)) byWish.set(wish, target);
  }
  return [...byWish.values()];
}

/** `address` or `address:names`; an address may begin with `acct:`. */
function parseWatch(text: string): Target {
  const bare = text.startsWith("acct:") ? text.slice(5) : text;
  const [head = ""] = bare.split(":");
  return { node: parseAddress(head), depth: "0", properties: namesAfter(head, bare) ?? [] };
}

/** Undefined when something else stands before the colon. */
function namesAfter(head: string, text: string): readonly string[] | undefined {
  if (text === head) return [];
  if (!text.startsWith(`${head}:`)) return undefined;
  const names = text.slice(head.length + 1);
  if (names === "") throw new Refusal("bad-name", "After the colon stand the names to watch.");
  return parseNamePatterns(names);
}

/** Each contact that the caller has now. Domains among them cannot be watched. */
async function rosterTargets(
  caller: Principal | undefined,
  properties: readonly string[],
  reader: Reader,
): Promise<readonly Target[]> {
  if (caller === undefined) throw new Refusal("unauthenticated", "Without a token nobody has a roster.");
  requireWatchScope(caller, [rosterName]);
  const held = await reader.own(caller, [rosterName]);
  return peopleIn(contactsOf(held.get(rosterName))).map(({ address }) => ({
    node: parseAddress(address),
    depth: "0",
    properties,
    isOfRoster: true,
  }));
}
