// Watching: from facts to the events that sessions are owed. The folder's public file.
// In: facts, in log order, and what sessions watch. Out: offers to sessions. Never: a read of the store to build an event, or an event to whom it is not granted.
import { randomBytes } from "node:crypto";
import type { Address } from "../core/address.ts";
import { type Cursor, formatCursor } from "../core/cursor.ts";
import { propertyChanged, propertyRemoved, streamEvent, type TidingsEvent } from "../core/event.ts";
import { matchNames } from "../core/name-pattern.ts";
import type { Caller } from "../core/principal.ts";
import { type PropertyState, visible } from "../core/property.ts";
import { Refusal } from "../core/refusal.ts";
import type { Soon } from "../core/soon.ts";
import { stateOf } from "../store/decoded.ts";
import type { Follower } from "../store/follower.ts";
import type { Fact, Log } from "../store/log.ts";
import { factsOfNode, nameOf, placeOf } from "../store/subjects.ts";
import { openSession, type Session, type SharedEvent, type Transport } from "./session.ts";

export type { Delivery } from "./session.ts";

/** What one stream watches: a node, and which of its properties. */
export interface Target {
  readonly node: Address;
  /** Names and patterns; none selects all. */
  readonly properties: readonly string[];
}

export interface Watching extends Disposable {
  /** Snapshot, then live: events of these targets for this caller, until disposed of. @throws Refusal `bad-cursor` */
  watch(
    caller: Caller,
    targets: readonly Target[],
    after: Cursor | undefined,
    transport: Transport,
  ): Promise<Watcher>;
  readonly sessions: number;
}

export interface Watcher extends Disposable {
  readonly session: Session;
}

export interface WatchDeps {
  readonly log: Log;
  readonly follower: Follower;
  /** Whether this caller may see this property: asked for every event, at delivery. */
  readonly maySee: (caller: Caller, owner: Address, name: string) => boolean;
  /** Ends leases whose time has come, so that no snapshot shows a leased value after its deadline. */
  readonly settle: (fact: Fact) => Soon<Fact | undefined>;
  readonly now: () => number;
}

interface Interest {
  readonly session: Session;
  readonly caller: Caller;
  readonly node: Address;
  readonly matches: (name: string) => boolean;
  /** What the snapshot covered: the feed may bring it once more. */
  from: number;
  /** Facts that the snapshot showed although they are newer than it, by subject. */
  readonly ahead: Map<string, number>;
}

/** A node that somebody watches. */
interface Watched {
  readonly address: Address;
  readonly interests: Set<Interest>;
  /** The newest revision of each property that the feed has shown since. */
  readonly revisions: Map<string, number>;
}

type Offer = readonly [key: string, shared: SharedEvent];

/** Snapshots that one stream takes at a time. */
const joinedAtOnce = 16;

export function openWatching({ log, follower, maySee, settle, now }: WatchDeps): Watching {
  const { epoch } = log;
  /** By the subject that a node's properties share, so that a fact nobody watches costs one look-up. */
  const nodes = new Map<string, Watched>();
  const touched = new Set<Session>();
  const sessions = new Set<Session>();
  /** The last position that no group of facts spans. */
  let whole = 0;

  const listening = follower.listen({ take, flush });

  function take(fact: Fact): void {
    if (fact.groupEnd === fact.position) whole = fact.position;
    const watched = nodes.get(nodeKeyOf(fact.subject));
    if (watched === undefined) return;
    const { address } = watched;
    const name = nameOf(fact.subject);
    const state = stateOf(fact);
    const { revision } = state;
    // A renewal, or the end of a view that another one hides, is nothing that a reader could see;
    // but it may have taken the place of a fact that was, before the feed came to it.
    if (revision <= (watched.revisions.get(fact.subject) ?? 0)) return;
    watched.revisions.set(fact.subject, revision);
    const shared = share(propertyEvent(address, name, state, fact), revision, whole);
    for (const one of watched.interests) {
      if (covers(one, fact.subject, revision)) continue;
      if (one.ahead.size > 0) one.ahead.delete(fact.subject);
      if (!one.matches(name) || !maySee(one.caller, address, name)) continue;
      one.session.offer(fact.subject, shared);
      touched.add(one.session);
    }
  }

  function flush(): void {
    for (const session of touched) session.flush();
    touched.clear();
  }

  function propertyEvent(
    address: Address,
    name: string,
    state: PropertyState,
    fact: Fact,
    snapshot = false,
  ): TidingsEvent {
    const view = visible(state);
    const change = { epoch, node: address.text, name, revision: state.revision };
    if (view === undefined) return propertyRemoved({ ...change, timeMs: fact.timeMs }, state.reason);
    const reason = snapshot ? "snapshot" : state.reason === "expired" ? "expired" : "set";
    return propertyChanged({ ...change, timeMs: view.updatedMs }, view, reason);
  }

  function share(event: TidingsEvent, position: number, cursorPosition: number): SharedEvent {
    const json = JSON.stringify(event);
    return {
      event,
      json,
      size: json.length,
      position,
      cursor: formatCursor({ epoch, position: cursorPosition }),
      framed: undefined,
    };
  }

  async function watch(
    caller: Caller,
    targets: readonly Target[],
    after: Cursor | undefined,
    transport: Transport,
  ): Promise<Watcher> {
    const resumes = after?.epoch === epoch ? after.position : undefined;
    if (resumes !== undefined && resumes > (await log.lastGiven())) {
      throw new Refusal("bad-cursor", "The cursor lies in the future of this log.");
    }
    const session = openSession(transport);
    session.hold();
    const mine = targets.map((target) => interest(session, caller, target));
    sessions.add(session);
    const watcher = {
      session,
      [Symbol.dispose](): void {
        for (const one of mine) leave(one);
        sessions.delete(session);
        touched.delete(session);
      },
    };
    try {
      const offers: Offer[] = [];
      if (after !== undefined && resumes === undefined) offers.push(streamOffer("reset", caller, 0));
      let position = Number.POSITIVE_INFINITY;
      for (let from = 0; from < mine.length; from += joinedAtOnce) {
        for (const joined of await Promise.all(
          mine.slice(from, from + joinedAtOnce).map((one) => join(one, resumes)),
        )) {
          for (const offer of joined.offers) offers.push(offer);
          position = Math.min(position, joined.position);
        }
      }
      offers.push(streamOffer("live", caller, position));
      session.release(offers, (key, at) => mine.every((one) => !concerns(one, key) || covers(one, key, at)));
      return watcher;
    } catch (error) {
      watcher[Symbol.dispose]();
      throw error;
    }
  }

  /** What a watcher of this node is owed before it is live: the present state, or what changed since its cursor. */
  async function join(
    one: Interest,
    resumes: number | undefined,
  ): Promise<{ offers: Offer[]; position: number }> {
    const { facts, position } = await log.snapshot([factsOfNode(one.node, "property")]);
    one.from = position;
    const cursor = resumes ?? 0;
    const offers: Offer[] = [];
    for (const found of facts) {
      const fact = await settle(found);
      if (fact === undefined) continue;
      if (fact.position > position) one.ahead.set(fact.subject, fact.position);
      const { address, name } = placeOf(fact.subject);
      if (fact.position <= cursor || !one.matches(name) || !maySee(one.caller, address, name)) continue;
      const state = stateOf(fact);
      // What a new reader never saw needs no mention. A revision from before the cursor does: this fact, a renewal,
      // may have taken its place before the reader was told.
      if (resumes === undefined && visible(state) === undefined) continue;
      const event = propertyEvent(address, name, state, fact, resumes === undefined);
      offers.push([fact.subject, share(event, fact.position, cursor)]);
    }
    offers.sort(([, a], [, b]) => a.position - b.position);
    return { offers, position };
  }

  function streamOffer(kind: "live" | "reset", caller: Caller, position: number): Offer {
    const id = `${epoch}-${position}-${randomBytes(6).toString("hex")}`;
    return [
      kind,
      share(streamEvent(kind, caller?.address.text ?? "anonymous", id, now()), position, position),
    ];
  }

  function interest(session: Session, caller: Caller, { node, properties }: Target): Interest {
    const one: Interest = {
      session,
      caller,
      node,
      matches: matchNames(properties),
      from: 0,
      ahead: new Map(),
    };
    const key = nodeKey(node);
    const watched = nodes.get(key);
    if (watched) watched.interests.add(one);
    else nodes.set(key, { address: node, interests: new Set([one]), revisions: new Map() });
    return one;
  }

  function leave(one: Interest): void {
    const key = nodeKey(one.node);
    const watched = nodes.get(key);
    watched?.interests.delete(one);
    if (watched?.interests.size === 0) nodes.delete(key);
  }

  return {
    watch,
    get sessions() {
      return sessions.size;
    },
    [Symbol.dispose]: () => listening[Symbol.dispose](),
  };
}

/** Whether the snapshot that this interest began with shows the fact, or a later one of its subject. */
function covers(one: Interest, subject: string, position: number): boolean {
  return position <= one.from || position <= (one.ahead.get(subject) ?? 0);
}

function concerns(one: Interest, subject: string): boolean {
  return nodeKey(one.node) === nodeKeyOf(subject) && one.matches(placeOf(subject).name);
}

const infix = ".property.";

function nodeKey(address: Address): string {
  return nodeKeyOf(factsOfNode(address, "property"));
}

/** Everything before the name: the same for all properties of a node, and no other fact's. */
function nodeKeyOf(subject: string): string {
  const at = subject.lastIndexOf(infix);
  return at < 0 ? "" : subject.slice(0, at);
}
