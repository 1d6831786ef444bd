// Forwarding: an account says where its watchers and messages go on to. The folder's public file.
// In: owners' wishes, the feed, the clock. Out: facts, and where an address leads. Never: a word of whether there is anybody at the other end.
import { type Address, rootOf } from "../core/address.ts";
import { tombstoneSeconds } from "../core/fact.ts";
import { Refusal } from "../core/refusal.ts";
import type { Soon } from "../core/soon.ts";
import { nodeOf } from "../store/decoded.ts";
import type { Follower } from "../store/follower.ts";
import type { Heads } from "../store/heads.ts";
import { Conflict, type Fact, LogUnavailable, onceApplied } from "../store/log.ts";
import { subjectOf } from "../store/subjects.ts";
import { type Forward, type ForwardTurn, hopsMax, openForwardBook } from "./book.ts";
import { type ForwardFact, forwardBody, forwardOf } from "./forward-facts.ts";
import { openRoutes, type Question, type Route, type RouteDeps } from "./route.ts";

export type { Forward, ForwardTurn } from "./book.ts";
export type { Route } from "./route.ts";

export interface Forwarding extends Disposable {
  /** Undefined where none holds. */
  of(owner: Address): Promise<Forward | undefined>;
  /** @throws Refusal `forward-loop` */
  set(owner: Address, forward: Forward): Promise<void>;
  /** Nothing happens where there is none. */
  remove(owner: Address): Promise<void>;
  /** The nodes that what is for an address may go on to, one after the other; none where the chain leads back, or too far. */
  way(address: Address): Promise<readonly Address[]>;
  /** How far somebody who looks is led: to the last node that grants it anything. */
  follow(question: Question): Soon<Route>;
  /** The address, and every node that its forwards come by. */
  along(address: Address): readonly Address[];
  /** Told before any fact that comes later in the log is. */
  listen(onTurn: (turn: ForwardTurn) => void): Disposable;
}

export interface ForwardingDeps {
  readonly heads: Heads;
  readonly follower: Follower;
  readonly access: RouteDeps["access"];
  readonly now: () => number;
  readonly onTrouble: (message: string) => void;
}

const roundsMax = 50;
const retryMs = 1_000;
/** Brokers that note the same end at the same moment would only get in each other's way. */
const graceMsMax = 100;

export function openForwarding({ heads, follower, access, now, onTrouble }: ForwardingDeps): Forwarding {
  const graceMs = Math.random() * graceMsMax;
  const notes = new Set<NodeJS.Timeout>();
  const book = openForwardBook(follower, now, (fact) => noteSoon(fact, graceMs));
  const follow = openRoutes({ book, access, heads });

  /**
   * It has ended without this: but a cursor is a place in the log, and only by an end that has a place there can it tell
   * whether its reader has heard of it.
   */
  function noteSoon(fact: Fact, inMs: number): void {
    const timer = setTimeout(() => {
      notes.delete(timer);
      void note(fact);
    }, inMs);
    notes.add(timer.unref());
  }

  async function note(fact: Fact): Promise<void> {
    try {
      await append(fact.subject, fact, undefined);
    } catch (error) {
      if (error instanceof Conflict) return;
      onTrouble(`the end of a forward could not be noted yet: ${(error as Error).message}`);
      noteSoon(fact, retryMs);
    }
  }

  async function append(subject: string, before: Fact | undefined, forward: Forward | undefined) {
    const body = forwardBody(forward?.to, forward?.untilMs, before);
    const one = { subject, body, expected: before?.position ?? 0 };
    return await heads.append([forward ? one : { ...one, keepSeconds: tombstoneSeconds }]);
  }

  async function put(owner: Address, forward: Forward | undefined): Promise<void> {
    const subject = subjectOf(owner, "forward");
    for (let round = 0; round < roundsMax; round++) {
      const before = await heads.refresh(subject);
      if (forward) {
        await follower.caughtUp();
        if (before && isSame(forwardOf(before), forward)) return;
        requireWay(owner, forward.to);
      } else if (before === undefined || forwardOf(before).to === undefined) return;
      try {
        const position = await append(subject, before, forward);
        await onceApplied(follower.known(position));
        return;
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
      }
    }
    throw new LogUnavailable("others kept changing the same forward");
  }

  /** What two owners do at the same moment may still make a circle: it is found when it is used. */
  function requireWay(owner: Address, to: Address): void {
    const isOwn = (one: Address): boolean => rootOf(one).text === owner.text;
    if (isOwn(to)) throw new Refusal("forward-loop", "You cannot be forwarded to yourself.");
    const { hops, along } = book.chain(to);
    if (along.some(isOwn)) throw new Refusal("forward-loop", "That address is forwarded to you.");
    // A chain that leads nowhere has come by nodes, but has no hops.
    if (hops.length === hopsMax || hops.length !== along.length - 1) {
      throw new Refusal("forward-loop", `From there it would go on more than ${hopsMax - 1} times.`);
    }
  }

  return {
    async of(owner) {
      const fact = await heads.refresh(subjectOf(owner, "forward"));
      const { to, untilMs } = fact ? forwardOf(fact) : { to: undefined, untilMs: undefined };
      return to === undefined || (untilMs !== undefined && untilMs <= now()) ? undefined : { to, untilMs };
    },
    set: put,
    remove: async (owner) => await put(owner, undefined),
    async way(address) {
      const way = book.chain(address).hops.map(({ to }) => to);
      const found = await Promise.all(way.map((to) => heads.get(subjectOf(to, "node"))));
      const end = found.findIndex((fact) => fact === undefined || nodeOf(fact) === undefined);
      return end < 0 ? way : way.slice(0, end);
    },
    follow,
    along: (address) => book.chain(address).along,
    listen: book.listen,
    [Symbol.dispose]() {
      book[Symbol.dispose]();
      for (const timer of notes) clearTimeout(timer);
    },
  };
}

function isSame(one: Pick<ForwardFact, "to" | "untilMs">, { to, untilMs }: Forward): boolean {
  return one.to?.text === to.text && one.untilMs === untilMs;
}
