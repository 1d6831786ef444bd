// The book of forwards: which account goes on to where, as of the place that the feed has come to and of the clock.
// In: forward facts, in log order; the time. Out: chains of forwards, and word of each change. Never: a forward after its end, a circle, or more hops than may be.
import { type Address, rootOf } from "../core/address.ts";
import type { Follower } from "../store/follower.ts";
import type { Fact } from "../store/log.ts";
import { placeOf } from "../store/subjects.ts";
import { type ForwardFact, forwardOf } from "./forward-facts.ts";

export interface Forward {
  readonly to: Address;
  readonly untilMs: number | undefined;
}

/** An account's forward was set, taken back, or has ended. */
export interface ForwardTurn {
  readonly account: string;
  /** Undefined where nothing but the time has come. */
  readonly position: number | undefined;
}

export interface Chain {
  /** One after the other; none where they would lead back, or too far. */
  readonly hops: readonly Forward[];
  /** Where it began, and every node that was come to, also on a way that leads nowhere. */
  readonly along: readonly Address[];
}

export interface ForwardBook extends Disposable {
  of(address: Address): Forward | undefined;
  chain(from: Address): Chain;
  /** Whether there ever was one, as far as the log remembers. */
  knows(address: Address): boolean;
  /** Where in the log it last changed: nowhere yet, when it ended by the clock alone. */
  changed(address: Address): number;
  /** Where it was forwarded to at a position and later on; cut, where the log has forgotten some of it. */
  since(address: Address, position: number): { readonly to: readonly Address[]; readonly isCut: boolean };
  /** Told before any fact that comes later in the log is. */
  listen(onTurn: (turn: ForwardTurn) => void): Disposable;
}

interface Page extends ForwardFact {
  readonly fact: Fact;
}

export const hopsMax = 8;
const timerMsMax = 2 ** 31 - 1;

/** @param onEnded a forward has ended whose fact still stands */
export function openForwardBook(
  follower: Follower,
  now: () => number,
  onEnded: (fact: Fact) => void,
): ForwardBook {
  const pages = new Map<string, Page>();
  const timers = new Map<string, NodeJS.Timeout>();
  const listeners = new Set<(turn: ForwardTurn) => void>();
  const following = follower.listen({ take });

  function take(fact: Fact): void {
    if (!fact.subject.includes(".forward.")) return;
    const { address, kind } = placeOf(fact.subject);
    if (kind !== "forward") return;
    const account = address.text;
    clearTimeout(timers.get(account));
    timers.delete(account);
    const page = { ...forwardOf(fact), fact };
    pages.set(account, page);
    tell({ account, position: fact.position });
    arm(account, page);
  }

  function tell(turn: ForwardTurn): void {
    for (const listener of listeners) listener(turn);
  }

  /** A forward ends at its time on every broker, whatever the store does. */
  function arm(account: string, page: Page): void {
    if (page.to === undefined || page.untilMs === undefined) return;
    const leftMs = page.untilMs - now();
    const end = (): void => {
      if (!hasEnded(page)) arm(account, page);
      else {
        timers.delete(account);
        tell({ account, position: undefined });
        onEnded(page.fact);
      }
    };
    timers.set(account, setTimeout(end, Math.min(Math.max(Math.ceil(leftMs), 0), timerMsMax)).unref());
  }

  function of(address: Address): Forward | undefined {
    const page = address.path.length === 0 ? pages.get(address.text) : undefined;
    if (page?.to === undefined || hasEnded(page)) return undefined;
    return { to: page.to, untilMs: page.untilMs };
  }

  function hasEnded({ untilMs }: Page): boolean {
    return untilMs !== undefined && untilMs <= now();
  }

  return {
    of,
    chain(from) {
      const hops: Forward[] = [];
      const along = [from];
      const accounts = new Set([rootOf(from).text]);
      for (let forward = of(from); forward; forward = of(forward.to)) {
        const account = rootOf(forward.to).text;
        if (hops.length === hopsMax || accounts.has(account)) return { hops: [], along };
        accounts.add(account);
        hops.push(forward);
        along.push(forward.to);
      }
      return { hops, along };
    },
    knows: ({ text }) => pages.has(text),
    changed({ text }) {
      const page = pages.get(text);
      if (page === undefined) return 0;
      return page.to && hasEnded(page) ? Number.POSITIVE_INFINITY : page.fact.position;
    },
    since({ text }, position) {
      const page = pages.get(text);
      if (page === undefined) return { to: [], isCut: false };
      const all = [...page.earlier, { to: page.to, position: page.fact.position }];
      const first = all.findLastIndex((one) => one.position <= position);
      const to = all.slice(Math.max(first, 0)).flatMap((one) => one.to ?? []);
      return { to, isCut: first < 0 && page.isCut };
    },
    listen(onTurn) {
      listeners.add(onTurn);
      return { [Symbol.dispose]: () => void listeners.delete(onTurn) };
    },
    [Symbol.dispose]() {
      following[Symbol.dispose]();
      for (const timer of timers.values()) clearTimeout(timer);
    },
  };
}
