// The hub: from the one feed to the watches that a fact concerns.
// In: facts, in log order. Out: each change to whoever watches that node. Never: a cost for facts that nobody watches, beyond a look-up.
import { type Address, rootOf } from "../core/address.ts";
import type { Json } from "../core/json.ts";
import type { Forwarding, ForwardTurn } from "../forward/forwarding.ts";
import type { Arrived, Messages } from "../messages/messages.ts";
import type { Book, Turn } from "../policy/policies.ts";
import type { Retyping, Visibilities } from "../property/properties.ts";
import type { Follower } from "../store/follower.ts";
import type { Fact } from "../store/log.ts";
import { nameOf, placeOf } from "../store/subjects.ts";
import { type Change, type ChangeDeps, letterChange, nodeChange, propertyChange, share } from "./change.ts";
import type { History } from "./history.ts";
import type { SharedEvent } from "./session.ts";
import { nodeKey, placeKey, type Target, treeKey } from "./target.ts";

/** A change as it reaches a watch. */
export interface Arrival {
  readonly change: Change;
  /** What was seen before, where a filter wants to know; null when there was nothing, or nobody remembers. */
  readonly previous: Json;
  /** The live event, encoded when the first asks for it. */
  readonly shared: () => SharedEvent;
}

/** Whoever is told of changes at a place. */
export interface Listening {
  readonly target: Target;
  /** Whether it only looks out for a watch of another place, or of this one. */
  readonly isScout: boolean;
  take(arrival: Arrival): void;
  /** The owner of the place has decided anew who may know what. */
  turned(turn: Turn): void;
  /** A property type has become more open, or less. */
  retyped(retyping: Retyping): void;
  /** The owner of the place is forwarded elsewhere, or no more. */
  forwarded(turn: ForwardTurn): void;
}

export interface Hub extends Disposable {
  add(listening: Listening): void;
  remove(listening: Listening): void;
  /** What a snapshot showed is remembered for filters that look at the value before. */
  remember(listening: Listening, change: Change): void;
  /** Who hears of an account's subscriptions, by the key of its node. */
  readonly subscribers: Map<string, (fact: Fact) => void>;
  /** The last position that no group of facts spans. */
  readonly position: number;
}

export interface HubDeps extends ChangeDeps {
  readonly book: Book;
  readonly visibilities: Pick<Visibilities, "listen">;
  readonly forwarding: Pick<Forwarding, "listen">;
  readonly follower: Follower;
  readonly history: History;
  readonly messages: Pick<Messages, "mail" | "rights">;
}

/** A node, or all nodes of an account, that somebody watches. */
interface Place {
  readonly listeners: Set<Listening>;
  /** The newest revision of each property that the feed has shown since. */
  readonly revisions: Map<string, number>;
  /** The value that each property had, while a filter looks at it. */
  values: Map<string, Json> | undefined;
}

export function openHub(deps: HubDeps): Hub {
  const { book, follower, history } = deps;
  /** By the subject that a node's facts share; with a `*` in place of the path for all nodes of an account. */
  const places = new Map<string, Place>();
  const subscribers = new Map<string, (fact: Fact) => void>();
  /** All places of an account. */
  const ofAccount = new Map<string, Set<Place>>();
  let trees = 0;
  let position = 0;
  const following = follower.listen({ take });
  const turning = book.listen((turn) => {
    for (const one of present(ofAccount.get(turn.owner))) one.turned(turn);
  });
  const retyping = deps.visibilities.listen((turn) => {
    for (const one of present(turn.owner === undefined ? places.values() : ofAccount.get(turn.owner)))
      one.retyped(turn);
  });
  const forwarding = deps.forwarding.listen((turn) => {
    for (const one of present(ofAccount.get(turn.account))) one.forwarded(turn);
  });

  /** Who listens there now, scouts first: by what they are told watches may leave, and others come that have heard of it. */
  function* present(at: Iterable<Place> = []): Iterable<Listening> {
    const all = [...at].flatMap(({ listeners }) => [...listeners].map((one) => ({ one, listeners })));
    for (const isScout of [true, false]) {
      for (const { one, listeners } of all) if (one.isScout === isScout && listeners.has(one)) yield one;
    }
  }

  function take(fact: Fact): void {
    if (fact.groupEnd === fact.position) position = fact.position;
    const key = nodeKey(fact.subject);
    const kind = fact.subject.slice(key.length + 1, fact.subject.lastIndexOf("."));
    if (kind !== "property" && kind !== "node" && kind !== "interest") {
      if (kind === "subscription" || kind === "watcher" || kind === "match") subscribers.get(key)?.(fact);
      return;
    }
    const at = places.get(key);
    const above = trees === 0 ? undefined : places.get(treeKey(key));
    if (at === undefined && above === undefined) return;
    const change = changeOf(fact, kind, at);
    if (change === undefined) return;
    const { revision, letter } = change;
    const cursorAt = position;
    let shared: SharedEvent | undefined;
    const once = (): SharedEvent => {
      shared ??= share(
        change.event("live"),
        revision,
        history.cursor(cursorAt),
        fact.timeMs,
        letter?.mayTell,
      );
      return shared;
    };
    const isPart = fact.basis !== undefined;
    if (at) tell(at, change, once, isPart);
    if (above) tell(above, change, once, isPart);
  }

  function changeOf(fact: Fact, kind: string, at: Place | undefined): Change | undefined {
    if (kind === "interest") {
      const arrived = deps.messages.mail.ofInterest(fact);
      const property = arrived?.letter.interest;
      return property === undefined
        ? undefined
        : letterChange(arrived as Arrived, property, deps.messages.rights);
    }
    const address = addressOf(fact, at);
    if (kind === "node") return nodeChange(fact, address, deps);
    return propertyChange(fact, address, nameOf(fact.subject), deps);
  }

  function addressOf(fact: Fact, at: Place | undefined): Address {
    const [first] = at?.listeners ?? [];
    return first?.target.node ?? placeOf(fact.subject).address;
  }

  /** @param isPart it is told ahead of its own fact, which will say the same */
  function tell(place: Place, change: Change, shared: () => SharedEvent, isPart: boolean): void {
    const { subject, revision, letter } = change;
    if (letter) {
      const arrival = { change, previous: null, shared };
      for (const listening of place.listeners) listening.take(arrival);
      return;
    }
    // A renewal, or the end of a view that another one hides, is nothing that a reader could see;
    // but it may have taken the place of a fact that was, before the feed came to it.
    if (revision <= (place.revisions.get(subject) ?? 0)) {
      if (!change.isThere) place.revisions.delete(subject);
      return;
    }
    const previous = place.values?.get(subject) ?? null;
    // Names come and go; after its end, whatever comes of a property is new.
    if (change.isThere || isPart) place.revisions.set(subject, revision);
    else place.revisions.delete(subject);
    if (change.isThere) place.values?.set(subject, change.value);
    else place.values?.delete(subject);
    const arrival = { change, previous, shared };
    for (const listening of place.listeners) listening.take(arrival);
  }

  return {
    add(listening) {
      const key = placeKey(listening.target);
      let place = places.get(key);
      if (place === undefined) {
        place = { listeners: new Set(), revisions: new Map(), values: undefined };
        places.set(key, place);
        const account = rootOf(listening.target.node).text;
        const beside = ofAccount.get(account);
        if (beside) beside.add(place);
        else ofAccount.set(account, new Set([place]));
        if (listening.target.depth !== "0") trees++;
      }
      place.listeners.add(listening);
      if (listening.target.filter?.usesPrevious) place.values ??= new Map();
    },
    remove(listening) {
      const key = placeKey(listening.target);
      const place = places.get(key);
      place?.listeners.delete(listening);
      if (place?.listeners.size !== 0) return;
      places.delete(key);
      const account = rootOf(listening.target.node).text;
      const beside = ofAccount.get(account);
      beside?.delete(place);
      if (beside?.size === 0) ofAccount.delete(account);
      if (listening.target.depth !== "0") trees--;
    },
    remember({ target }, { subject, revision, value }) {
      const place = places.get(placeKey(target));
      if (place?.values === undefined || revision < (place.revisions.get(subject) ?? 0)) return;
      place.values.set(subject, value);
    },
    subscribers,
    get position() {
      return position;
    },
    [Symbol.dispose]() {
      following[Symbol.dispose]();
      turning[Symbol.dispose]();
      retyping[Symbol.dispose]();
      forwarding[Symbol.dispose]();
    },
  };
}
