// /v1/me/roster: the caller's contacts, what each shows now, and the whole list in and out as JSON or vCards.
// In: HTTP requests of the owner. Out: calls to the property service, answers. Never: a difference between a contact that hides and one that is not there.
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { Type } from "typebox";
import { Roster, RosterPut, RosterWritten, Vcards } from "../../schemas/wire/roster.ts";
import { parseAddress, parsePropertyName } from "../core/address.ts";
import { matchNames, parseNamePatterns } from "../core/name-pattern.ts";
import { type Principal, requireScope } from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import { type Contact, contactsOf, mergedRoster, parseContacts, rosterOf } from "../core/roster.ts";
import {
  AnswerRoom,
  type Condition,
  type Look,
  nothingDisclosed,
  type PropertyService,
  type PropertyShape,
  type Terms,
} from "../property/properties.ts";
import { LogUnavailable } from "../store/log.ts";
import type { Watching } from "../watch/watching.ts";
import { acceptCards, prefersCards } from "./card-bodies.ts";
import { matchesEntityTag, termsOf } from "./conditions.ts";
import { lookOf, revealQuery } from "./look.ts";
import type { Lookups } from "./lookups.ts";
import { requestsOf } from "./nodes.ts";
import type { Quotas } from "./quotas.ts";
import { describe } from "./route.ts";
import { vcardType, writeCards } from "./vcards.ts";

export interface RosterDeps {
  readonly properties: PropertyService;
  readonly watching: Pick<Watching, "cursor">;
  readonly lookups: Lookups;
  readonly quotas: Quotas;
}

const path = "/v1/me/roster";
const tag = "Roster";
const name = parsePropertyName("contacts");
/** Contacts that are read at a time for one request. */
const readAtOnce = 8;
/** How often each is asked for, where the store does not answer in time: one of a thousand must not cost all of them. */
const readsMax = 4;
/** How often a merge begins again because the roster changed under it. */
const mergesMax = 10;

const RosterQuery = Type.Object(
  {
    properties: Type.Optional(
      Type.String({ description: "Names and patterns of what is wanted of each contact: presence,activity" }),
    ),
    bare: Type.Optional(
      Type.Boolean({ description: "The contacts alone, as PUT takes them; nobody is asked for anything." }),
    ),
    ...revealQuery,
  },
  { additionalProperties: false },
);

interface RosterQueryShape {
  properties?: string;
  bare?: boolean;
  reveal?: string;
}

const conditions = {
  "if-match": 'The revision that the property contacts must have, such as "17"; or * for any.',
  "if-none-match": "* demands that there is no roster.",
  "idempotency-key": "A retry with the same key has one effect and the same answer.",
};
const refusals = [
  "bad-address",
  "bad-precondition",
  "bad-vcard",
  "idempotency-mismatch",
  "not-found",
  "revision-mismatch",
  "scope-missing",
  "storage-full",
  "too-many-contacts",
  "too-many-properties",
  "too-many-views",
  "value-invalid",
  "value-too-large",
] as const;

export function rosterRoutes(app: FastifyInstance, deps: RosterDeps): void {
  // Cards are read on these routes only: everywhere else they are of a type that is not understood.
  void app.register(async (scope) => {
    acceptCards(scope, deps.quotas);
    readingRoute(scope, deps);
    writingRoutes(scope, deps);
  });
}

function readingRoute(app: FastifyInstance, { properties, watching, lookups, quotas }: RosterDeps): void {
  const { reader } = properties;

  app.get<{ Querystring: RosterQueryShape }>(
    path,
    describe({
      id: "readRoster",
      summary: "All contacts with petnames, groups and what each shows the caller now, in one call",
      description:
        "A contact that shows nothing, does not exist or has blocked the caller has empty `properties`. `cursor` leads on without a gap: /v1/events?watch=roster&after=. With `bare=true`, or as text/vcard, the list alone; its ETag is the revision of the property `contacts`. Each contact counts as a request, as a read of it would.",
      tag,
      access: "account",
      query: RosterQuery,
      headers: { "if-none-match": "With `bare`, or for cards: a revision that the caller has." },
      answers: {
        200: {
          description: "The roster.",
          schema: Type.Union([Roster, RosterPut]),
          others: { [vcardType]: Vcards },
        },
        304: { description: "The caller has it already.", schema: null },
      },
      refusals: ["answer-too-large", "bad-name", "scope-missing"],
    }),
    async (request, reply) => {
      const caller = request.caller as Principal;
      const { bare = false, properties: list, reveal } = request.query;
      const patterns = list === undefined ? [] : parseNamePatterns(list);
      // Before anything is read, so that whatever comes later is told again rather than not at all.
      const cursor = watching.cursor();
      const held = await heldBy(properties, caller);
      const contacts = contactsOf(held?.value);
      reply.header("vary", "Accept").header("cache-control", "private, no-cache");
      const asCards = prefersCards(request.headers.accept);
      if (bare || asCards) {
        if (held) reply.header("etag", `"${held.revision}"`);
        if (held && matchesEntityTag(request.headers["if-none-match"], held.revision))
          return reply.code(304).send();
        if (!asCards) return { contacts };
        return reply.type(`${vcardType}; charset=utf-8`).send(writeCards(contacts));
      }
      if (contacts.length > 1) quotas.take("requests", request, contacts.length - 1);
      const look = await lookOf(caller, reveal, reader);
      const room = new AnswerRoom();
      const select = { patterns, matches: matchNames(patterns), room };
      const reading = eachOf(contacts, async (contact) => ({
        ...contact,
        properties: await shownBy(contact, request, look, select),
      }));
      const shown = await reading.finally(() => quotas.spend("requests", request, requestsOf(room)));
      return { contacts: shown, ...(held && { revision: held.revision }), cursor };
    },
  );

  /** What a contact shows; nothing where a read of it would be refused, whatever for. */
  async function shownBy(
    { address: text }: Contact,
    request: FastifyRequest,
    look: Look,
    select: Parameters<typeof reader.node>[2],
  ): Promise<object> {
    if (text.startsWith("@")) return {};
    const address = parseAddress(text);
    for (let attempt = 1; ; attempt++) {
      try {
        const node = await lookups.read(request, address, () => reader.node(look, address, select, "0"));
        return node.properties;
      } catch (error) {
        if (error instanceof Refusal && isHiding(error)) return {};
        if (!(error instanceof LogUnavailable) || attempt === readsMax) throw error;
      }
    }
  }
}

function writingRoutes(app: FastifyInstance, { properties }: RosterDeps): void {
  const { writer } = properties;
  const shared = {
    tag,
    access: "account",
    headers: conditions,
    body: RosterPut,
    otherBodies: { [vcardType]: Vcards },
    answers: {
      200: { description: "Replaced or merged; the new revision as ETag.", schema: RosterWritten },
      201: { description: "There was none before.", schema: RosterWritten },
    },
    refusals,
  } as const;

  app.put<{ Body: RosterPut }>(
    path,
    describe({
      id: "replaceRoster",
      summary: "Replace the roster by a list of contacts, as JSON or vCards",
      description:
        "All or nothing: one contact that does not fit, and nothing is stored. Whoever is not listed is no contact any more, at once and on open streams as well.",
      ...shared,
    }),
    async (request, reply) => {
      const contacts = parseContacts(request.body.contacts);
      return answer(reply, await write(request, contacts, termsOf(request)));
    },
  );

  app.post<{ Body: RosterPut }>(
    path,
    describe({
      id: "mergeRoster",
      summary: "Add contacts to the roster, and change what is said of those that are on it",
      description:
        "What a contact is given here takes the place of what was there; what it is not given stays. Needs the right to read `contacts` as well.",
      ...shared,
    }),
    async (request, reply) => {
      const added = parseContacts(request.body.contacts);
      const terms = termsOf(request);
      for (let round = 1; ; round++) {
        const held = await heldBy(properties, request.caller as Principal);
        const merged = mergedRoster(contactsOf(held?.value), added);
        const condition = mergeCondition(terms.condition, held?.revision ?? 0);
        try {
          return answer(reply, await write(request, merged, { ...terms, condition }));
        } catch (error) {
          const isRace = error instanceof Refusal && error.code === "revision-mismatch";
          if (!isRace || terms.condition !== undefined || round === mergesMax) throw error;
        }
      }
    },
  );

  async function write(
    request: FastifyRequest,
    contacts: readonly Contact[],
    terms: Terms,
  ): Promise<Written> {
    const caller = request.caller as Principal;
    try {
      return await writer.set(caller, caller.address, name, { value: rosterOf(contacts) }, terms);
    } catch (error) {
      if (!(error instanceof Refusal) || error.code !== "value-too-large") throw error;
      const detail = `${error.message} Shorten notes and petnames, use fewer groups, or list whole domains as @example.com.`;
      throw new Refusal("value-too-large", detail, error.errors);
    }
  }
}

interface Written {
  readonly property: PropertyShape;
  readonly created: boolean;
}

function answer(reply: FastifyReply, { property, created }: Written): FastifyReply {
  const { revision, value } = property;
  return reply
    .header("etag", `"${revision}"`)
    .code(created ? 201 : 200)
    .send({ size: contactsOf(value).length });
}

/** What was read must be what is replaced, and what the caller demands. @param read the revision that was */
function mergeCondition(demanded: Condition | undefined, read: number): Condition {
  if (demanded === undefined) return { revision: read };
  const { revision } = demanded;
  if (revision === "any") return read > 0 ? { revision: read } : demanded;
  // Older than what was read never comes back; what is newer was not read.
  if (revision > read) throw new Refusal("revision-mismatch", `The roster is at revision ${read}.`);
  return demanded;
}

/** The property as it stands in the log. */
async function heldBy({ reader }: PropertyService, caller: Principal): Promise<PropertyShape | undefined> {
  requireScope(caller, "read", name);
  try {
    return await reader.property({ caller, via: "rest", disclosed: nothingDisclosed }, caller.address, name);
  } catch (error) {
    if (error instanceof Refusal && error.code === "not-found") return undefined;
    throw error;
  }
}

function isHiding({ code }: Refusal): boolean {
  return code === "not-found" || code === "blocked" || code === "reveal-required";
}

/** Does it for each, a few at a time. @returns the answers in the order of the list */
async function eachOf<T, U>(list: readonly T[], act: (one: T) => Promise<U>): Promise<U[]> {
  const answers: U[] = [];
  const waiting = list.entries();
  const work = async (): Promise<void> => {
    for (const [index, one] of waiting) answers[index] = await act(one);
  };
  await Promise.all(Array.from({ length: readAtOnce }, work));
  return answers;
}
