// Standing queries: who comes to match what somebody looks for, and who does no more.
// In: subscriptions to queries, whatever changes what their owners may see. Out: a fact for each turn, on condition of the one before, so that any number of brokers tell each turn once. Never: a match by anything that whoever asks may not see now.
//
// Nobody waits for it: what changed is noted as the feed brings it, and looked at aside, in the present state of the log.
// What one look decides late, the next one rights; so the turns of a node always alternate.
import { setTimeout as delay } from "node:timers/promises";
import { type Address, parseAddress } from "../core/address.ts";
import { tombstoneSeconds } from "../core/fact.ts";
import type { Json } from "../core/json.ts";
import { actorOf, rights } from "../core/principal.ts";
import { visible } from "../core/property.ts";
import { queryOfTarget } from "../core/query-target.ts";
import type { Soon } from "../core/soon.ts";
import type { Book } from "../policy/policies.ts";
import type { Look, NodeShape, Reader, Visibilities } from "../property/properties.ts";
import { stateOf } from "../store/decoded.ts";
import type { Follower } from "../store/follower.ts";
import { Conflict, type Fact, type Log } from "../store/log.ts";
import { factsOfEveryPath, placeOf } from "../store/subjects.ts";
import { parseAfter } from "./after.ts";
import type { Feeding } from "./feeding.ts";
import { matchBody, matchOf, matchSubject, shownOf } from "./match-facts.ts";
import { knownQuery } from "./open-query.ts";
import type { Query } from "./query.ts";
import { openTasks } from "./tasks.ts";
import { wordsOf, wordsOfValue } from "./words.ts";

export interface StandingDeps {
  readonly log: Log;
  readonly follower: Follower;
  readonly book: Pick<Book, "listen">;
  readonly visibilities: Pick<Visibilities, "listen">;
  readonly reader: Pick<Reader, "glimpse" | "own">;
  readonly feeding: () => Pick<Feeding, "find" | "shows">;
  /** The owner of whoever matches hears of it before whoever looks. */
  readonly notices: {
    started(watched: {
      look: Look;
      node: Address;
      properties: readonly string[];
      id: string;
      isKept: boolean;
    }): Soon<void>;
    ended(node: Address, watcher: string, id: string): void;
  };
  readonly now: () => number;
  readonly onTrouble: (message: string) => void;
}

interface StandingWire {
  readonly target: string;
  readonly reveal?: readonly string[];
  readonly agent?: string;
}

interface Standing {
  readonly id: string;
  readonly subscriber: Address;
  readonly agent: Address | undefined;
  readonly target: string;
  readonly query: Query;
  readonly reveal: readonly string[];
  /** Nodes that match, with the facts that say so; and such as did. */
  readonly matches: Map<string, Fact>;
  inside: number;
  isOver: boolean;
}

/** Nodes that one query follows; whoever comes beyond them is not told of. */
const insideMax = 1_000;
const candidatesMax = 64;
/** Nodes that wait to be looked at while more are searched. */
const queuedMax = 1_000;
/** What is forgotten only has to outlive the other brokers' feeds. */
const forgottenSeconds = 3_600;
const retryMs = 1_000;
const lookAgainMs = 100;

export function openStandingQueries(deps: StandingDeps): AsyncDisposable {
  const { log, follower, reader, notices, now, onTrouble } = deps;
  /** By the subject of the subscription. */
  const queries = new Map<string, Standing>();
  /** By account and id. */
  const byId = new Map<string, Standing>();
  /** While the log is read from its beginning a subscription may come after its matches, or never. */
  const early: Fact[] = [];
  /** Queries that are to be asked of a node. */
  const asked = new Map<string, Set<Standing>>();
  const tasks = openTasks({ onTrouble, retryMs });
  let isLive = false;

  const following = follower.listen({ take });
  const turning = deps.book.listen(({ owner, member }) => {
    if (!isLive || queries.size === 0) return;
    const asking = member && ((one: Standing) => one.subscriber.text === member.address);
    const key = `owner ${owner} ${member?.address ?? ""}`;
    tasks.add(key, async () => await lookAtOwner(parseAddress(owner), asking));
  });
  const retyping = deps.visibilities.listen(({ owner }) => {
    if (!isLive || queries.size === 0) return;
    if (owner !== undefined) tasks.add(`owner ${owner} `, async () => await lookAtOwner(parseAddress(owner)));
    else for (const one of queries.values()) lookEverywhere(one);
  });
  const beginning = follower.caughtUp().then(
    () => {
      isLive = true;
      for (const fact of early.splice(0)) takeMatch(fact);
      for (const one of queries.values()) lookEverywhere(one);
    },
    (error: Error) => onTrouble(`standing queries wait for the log: ${error.message}`),
  );

  function take(fact: Fact): void {
    const { subject } = fact;
    if (subject.includes(".subscription.")) takeSubscription(fact);
    else if (subject.includes(".match.")) takeMatch(fact);
    else if (isLive && queries.size > 0 && (subject.includes(".property.") || subject.includes(".node.")))
      note(fact);
  }

  function takeSubscription(fact: Fact): void {
    const { subject, body } = fact;
    const known = queries.get(subject);
    const isQuery = body.includes('"target":"directory?');
    if (!isQuery) {
      if (known) end(subject, known);
      return;
    }
    const { target, reveal = [], agent: path } = JSON.parse(body) as StandingWire;
    if (known?.target === target) return;
    const { address: subscriber, name: id } = placeOf(subject);
    const query = knownQuery(queryOfTarget(target) ?? {});
    const agent = path === undefined ? undefined : parseAddress(`${subscriber.text}/${path}`);
    const wish = { id, subscriber, agent, query, target, reveal };
    const one = { ...wish, matches: new Map(), inside: 0, isOver: false };
    queries.set(subject, one);
    byId.set(`${subscriber.text} ${id}`, one);
    if (isLive) lookEverywhere(one);
  }

  function takeMatch(fact: Fact): void {
    if (!isLive) {
      early.push(fact);
      return;
    }
    const { address, name } = placeOf(fact.subject);
    const [id = "", node = ""] = name.split(" ");
    const one = byId.get(`${address.text} ${id}`);
    if (one) adopt(one, node, fact);
    else if (matchOf(fact)) tasks.add(fact.subject, async () => await forget(fact));
  }

  /** @param fact undefined: the log has forgotten it */
  function adopt(one: Standing, node: string, fact: Fact | undefined): void {
    one.inside -= Number(isIn(one, node));
    if (fact) one.matches.set(node, fact);
    else one.matches.delete(node);
    one.inside += Number(isIn(one, node));
  }

  function end(subject: string, one: Standing): void {
    one.isOver = true;
    queries.delete(subject);
    byId.delete(`${one.subscriber.text} ${one.id}`);
    for (const [node, fact] of one.matches) {
      if (isIn(one, node)) notices.ended(parseAddress(node), (one.agent ?? one.subscriber).text, one.id);
      tasks.add(fact.subject, async () => await forget(fact));
    }
  }

  /** Nobody asks any more. */
  async function forget({ subject, position: expected }: Fact): Promise<void> {
    try {
      await log.append([{ subject, body: "{}", expected, keepSeconds: forgottenSeconds }]);
    } catch (error) {
      // Another broker was faster.
      if (!(error instanceof Conflict)) throw error;
    }
  }

  /** Something of a node has changed: which queries may that concern? */
  function note(fact: Fact): void {
    const { address, kind, name } = placeOf(fact.subject);
    const node = address.text;
    const isProperty = kind === "property";
    let words: ReadonlySet<string> | undefined;
    const mayEnter = ({ query }: Standing): boolean => {
      if (query.words.length === 0 || !isProperty) return true;
      words ??= wordsIn(fact, node);
      return query.words.some((word) => words?.has(word));
    };
    for (const one of queries.values()) {
      const isOfInterest = !isProperty || one.query.names === undefined || one.query.names.has(name);
      if (isOfInterest && (isIn(one, node) || mayEnter(one))) ask(one, node);
    }
  }

  function ask(one: Standing, node: string): void {
    const beside = asked.get(node);
    if (beside) beside.add(one);
    else asked.set(node, new Set([one]));
    tasks.add(`node ${node}`, async () => {
      const all = asked.get(node) ?? new Set();
      asked.delete(node);
      try {
        for (const each of all) if (!each.isOver) await look(each, node);
      } catch (error) {
        // It is tried again: then there must be somebody to ask for.
        asked.set(node, new Set([...all, ...(asked.get(node) ?? [])]));
        throw error;
      }
    });
  }

  async function look(one: Standing, node: string): Promise<void> {
    const { id, subscriber, agent, query } = one;
    const address = parseAddress(node);
    const caller = { address: subscriber, agent, kind: "person", scopes: rights, tokenId: "" } as const;
    const looking: Look = { caller, via: "subscription", disclosed: await reader.own(caller, one.reveal) };
    const [found] = await reader.glimpse(looking, [address]);
    const matches = found !== undefined && isMatch(query, found);
    if (matches === isIn(one, node) || (matches && one.inside >= insideMax)) return;
    const before = one.matches.get(node);
    const shown = matches ? shownOf(found) : {};
    if (matches) {
      const properties = Object.keys(found.properties).sort();
      await notices.started({ look: looking, node: address, properties, id, isKept: true });
    }
    if (one.isOver) return;
    const subject = matchSubject(subscriber, id, node);
    const body = matchBody(matches, shown, Math.floor(now()), before);
    const append = { subject, body, expected: before?.position ?? 0 };
    try {
      const position = await log.append([matches ? append : { ...append, keepSeconds: tombstoneSeconds }]);
      await follower.known(position);
    } catch (error) {
      if (!(error instanceof Conflict)) throw error;
      // Another broker has looked as well, or the log has forgotten that it ever matched.
      adopt(one, node, await log.last(subject));
      ask(one, node);
      return;
    }
    if (!matches) notices.ended(address, actorOf(caller).text, id);
  }

  function isMatch(query: Query, { address, properties }: NodeShape): boolean {
    const values = new Map(Object.entries(properties).map(([name, { value }]) => [name, value]));
    return query.matches(values, address, now()) === "yes";
  }

  /** Asks of all that match, and of all that may. */
  function lookEverywhere(one: Standing): void {
    tasks.add(`everywhere ${one.subscriber.text} ${one.id}`, async () => {
      const { find, shows } = deps.feeding();
      const text = queryOfTarget(one.target) ?? {};
      const asker = one.subscriber.text;
      for (const node of one.matches.keys()) ask(one, node);
      while (tasks.isOpen && !one.isOver && !(await shows(follower.position))) await delay(lookAgainMs);
      for (let after = parseAfter(undefined); tasks.isOpen && !one.isOver; ) {
        const found = await find({ text, asker, after, candidatesMax, nowMs: now() });
        for (const { address } of found.candidates) ask(one, address);
        if (found.isDone || found.isTooSlow) return;
        after = found.last;
        while (tasks.isOpen && tasks.size > queuedMax) await delay(lookAgainMs);
      }
    });
  }

  async function lookAtOwner(
    owner: Address,
    isAsking: (one: Standing) => boolean = () => true,
  ): Promise<void> {
    const { facts } = await log.snapshot([factsOfEveryPath(owner, "node")]);
    for (const fact of facts) {
      const node = placeOf(fact.subject).address.text;
      for (const one of queries.values()) if (isAsking(one)) ask(one, node);
    }
  }

  return {
    async [Symbol.asyncDispose]() {
      following[Symbol.dispose]();
      turning[Symbol.dispose]();
      retyping[Symbol.dispose]();
      await tasks[Symbol.asyncDispose]();
      await beginning;
    },
  };
}

function isIn({ matches }: Standing, node: string): boolean {
  const fact = matches.get(node);
  return fact !== undefined && matchOf(fact)?.isIn === true;
}

/** Words of a property as it stands now, and of the address: without one of them nothing can come to match. */
function wordsIn(fact: Fact, node: string): ReadonlySet<string> {
  const value: Json = visible(stateOf(fact))?.value ?? null;
  return new Set([...wordsOf(node), ...wordsOfValue(value)]);
}
