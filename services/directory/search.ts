// Searching: what whoever asks would find by reading every node, found by the index and read again in the moment of answering.
// In: a look, a query. Out: a page of nodes with what may be seen of them. Never: a match, an order or a page that anything hidden had a part in.
import { parseAddress, rootOf } from "../core/address.ts";
import type { Json } from "../core/json.ts";
import type { QueryText } from "../core/query-target.ts";
import { Refusal } from "../core/refusal.ts";
import {
  type Access,
  type Look,
  type NodeShape,
  type Reader,
  requireReading,
  type Seen,
  type Witness,
} from "../property/properties.ts";
import type { Follower } from "../store/follower.ts";
import { formatAfter, parseAfter } from "./after.ts";
import type { Feeding } from "./feeding.ts";
import type { Candidate, Found } from "./finder.ts";
import { openQuery } from "./open-query.ts";
import type { Query } from "./query.ts";

export interface SearchWish extends QueryText {
  readonly limit?: number | undefined;
  /** `next` of the page before. */
  readonly after?: string | undefined;
}

export interface Page {
  readonly nodes: readonly Pick<NodeShape, "address" | "properties">[];
  /** There is at least one more: send it as `after`. */
  readonly next?: string;
  /** Not everything that was acknowledged is in the index yet. */
  readonly partial?: true;
}

/** @param pay called before an answer with how many nodes it shows besides the first. @throws what `pay` throws, and Refusal */
export type Search = (look: Look, wish: SearchWish, pay?: (more: number) => void) => Promise<Page>;

export interface SearchDeps {
  readonly feeding: () => Pick<Feeding, "find" | "shows">;
  readonly follower: Pick<Follower, "caughtUp" | "position">;
  readonly access: Pick<Access, "may">;
  readonly reader: Pick<Reader, "glimpse">;
  readonly witness: Pick<Witness, "fetchedAll">;
  readonly now: () => number;
}

const limitUsual = 20;
/** How long the thread may look for one page, over all of its slices. */
const budgetMs = 250;
const candidatesMax = 64;
/** Nodes read at a time, and how large they may be together, by what the index knows. */
const readAtOnce = 32;
const readSizeMax = 2 * 1024 * 1024;
/** An answer that has grown past this holds fewer nodes than it might. */
const pageLengthMax = 1024 * 1024;
/** Nodes that turned out not to match any more, beyond which a search gives up. */
const staleMax = 500;

interface Match {
  readonly key: bigint;
  readonly node: NodeShape;
  /** Of its properties as JSON, in characters. */
  readonly length: number;
}

export function openSearch(deps: SearchDeps): Search {
  const { access, reader, follower, witness, now } = deps;

  return async (look, wish, pay = () => undefined) => {
    requireReading(look);
    const query = openQuery(wish);
    const { limit = limitUsual } = wish;
    const after = parseAfter(wish.after);
    const feeding = deps.feeding();
    // Whoever has just been answered finds what it wrote.
    await follower.caughtUp();
    const isWhole = await feeding.shows(follower.position);
    const matches = await collect(look, query, wish, after, limit + 1);
    const page = pageOf(matches, limit);
    pay(Math.max(0, page.length - 1));
    await witness.fetchedAll(
      look,
      page.flatMap(({ node }) => seenOf(node)),
    );
    const last = page.at(-1);
    return {
      // Decided anew while the owners were told: asked once more, with nothing in between that could change it.
      nodes: page.flatMap(({ node }) => shownNow(look, query, node)),
      ...(last && matches.length > page.length && { next: formatAfter(last.key) }),
      ...(!isWhole && { partial: true as const }),
    };
  };

  /** The first matches in the order of the index, in so far as they still match when they are read. */
  async function collect(
    look: Look,
    query: Query,
    text: QueryText,
    after: bigint,
    wanted: number,
  ): Promise<readonly Match[]> {
    const matches: Match[] = [];
    const asker = look.caller?.address.text;
    let last = after;
    let spentMs = 0;
    let stale = 0;
    let size = 0;
    for (;;) {
      const question = {
        text: { q: text.q, where: text.where },
        asker,
        after: last,
        candidatesMax: Math.min(candidatesMax, wanted - matches.length + 1),
        nowMs: now(),
      };
      const found: Found = await deps.feeding().find(question);
      const promising = found.candidates.filter((one) => mayMatch(look, query, one));
      for (const group of groupsOf(promising)) {
        const read = await readAgain(look, query, group);
        for (const one of read) {
          if (one === undefined) stale++;
          else matches.push(one);
          size += one?.length ?? 0;
        }
        if (matches.length >= wanted) return matches.slice(0, wanted);
        // The last of them is only there to say that there is more.
        if (size > pageLengthMax && matches.length > 1) return matches;
      }
      if (found.isDone) return matches;
      spentMs += found.spentMs;
      last = found.last;
      if (found.isTooSlow)
        throw new Refusal("search-too-broad", "The expression takes too long on one node.");
      if (spentMs > budgetMs) {
        throw new Refusal(
          "search-too-broad",
          "It would take too long to look at all that this may be true of.",
        );
      }
      if (stale > staleMax)
        throw new Refusal("unavailable", "Nodes change faster than they can be searched.");
    }
  }

  /** By what the index holds: so that nobody waits for a node to be read that shows nothing of what was asked for. */
  function mayMatch(look: Look, query: Query, candidate: Candidate): boolean {
    const address = parseAddress(candidate.address);
    const isSeen = candidate.names.map((name) => access.may(look, address, name, "read"));
    if (!candidate.isOwn && !isSeen.includes(true)) return false;
    if (candidate.holders.some((names) => !names.some((index) => isSeen[index]))) return false;
    if (query.where === undefined) return true;
    const seen = candidate.values.filter(([name]) => isSeen[candidate.names.indexOf(name)]);
    // Of all these values the finder has said so.
    if (seen.length === candidate.values.length) return true;
    const properties = new Map(seen.map(([name, value]) => [name, JSON.parse(value) as Json]));
    return query.where.test(candidate.address, properties, now()) === "yes";
  }

  async function readAgain(
    look: Look,
    query: Query,
    candidates: readonly Candidate[],
  ): Promise<readonly (Match | undefined)[]> {
    const addresses = candidates.map(({ address }) => parseAddress(address));
    const nodes = await reader.glimpse(look, addresses);
    return candidates.map(({ key }, index) => {
      const node = nodes[index];
      return node && isMatch(query, node) ? { key, node, length: lengthOf(node) } : undefined;
    });
  }

  function isMatch(query: Query, { address, properties }: NodeShape): boolean {
    const values = new Map(Object.entries(properties).map(([name, { value }]) => [name, value]));
    return query.matches(values, address, now()) === "yes";
  }

  function shownNow(look: Look, query: Query, node: NodeShape): Page["nodes"] {
    const at = parseAddress(node.address);
    const isSeen = ([name]: [string, unknown]): boolean => access.may(look, at, name, "read");
    const seen = Object.entries(node.properties).filter(isSeen);
    const { address } = node;
    if (seen.length === Object.keys(node.properties).length)
      return [{ address, properties: node.properties }];
    const less = { ...node, properties: Object.fromEntries(seen) };
    const isLeft = seen.length > 0 || look.caller?.address.text === rootOf(at).text;
    return isLeft && isMatch(query, less) ? [{ address, properties: less.properties }] : [];
  }
}

/** Being found is being read: the owner hears of it before whoever finds. */
function seenOf({ address, properties }: NodeShape): readonly Seen[] {
  const names = Object.keys(properties).sort();
  return names.length === 0 ? [] : [{ node: parseAddress(address), names }];
}

function groupsOf(candidates: readonly Candidate[]): readonly (readonly Candidate[])[] {
  const groups: Candidate[][] = [];
  let size = Number.POSITIVE_INFINITY;
  for (const one of candidates) {
    const last = groups.at(-1);
    size += one.size;
    if (last && size <= readSizeMax && last.length < readAtOnce) last.push(one);
    else {
      groups.push([one]);
      size = one.size;
    }
  }
  return groups;
}

/** As many as were asked for, or as fit. */
function pageOf(matches: readonly Match[], limit: number): readonly Match[] {
  let size = 0;
  const fitting = matches.findIndex(({ length }, index) => {
    size += length;
    return index > 0 && size > pageLengthMax;
  });
  return matches.slice(0, fitting < 0 ? limit : Math.min(limit, fitting));
}

function lengthOf({ properties }: NodeShape): number {
  return JSON.stringify(properties).length;
}
