// The follower: one feed a broker, shared by everything that must know each fact.
// In: the log. Out: each batch of facts to each listener, in order, groups whole. Never: a listener that waits, or half a group.
import { setImmediate as turn } from "node:timers/promises";
import { Refusal } from "../core/refusal.ts";
import type { Soon } from "../core/soon.ts";
import type { Fact, Log } from "./log.ts";

export interface Listener {
  take(fact: Fact): void;
  /** After a run of facts that came together: time to write out. */
  flush?(): void;
}

/** What one fact means for many subjects: facts at its position, to be told before it. Undefined where it stands for itself alone. */
export type Unfold = (fact: Fact) => AsyncIterable<readonly Fact[]> | undefined;

export interface Follower extends AsyncDisposable {
  /** The position up to which every listener has been told everything. */
  readonly position: number;
  listen(listener: Listener): Disposable;
  /** From now on facts are unfolded by it; there is one at most. */
  unfold(unfold: Unfold): Disposable;
  /** Resolves once everything is known that lies up to a position which somebody else has seen. */
  known(position: number): Soon<void>;
  /** Resolves once everything is known that any broker had acknowledged when this was called. */
  caughtUp(): Promise<void>;
}

/** So long a fact that was seen in the log is expected to come by the feed. */
const arrivalMsMax = 20;

/** @param after where to begin: 0 for everything that the log holds */
export function follow(log: Log, after = 0): Follower {
  const stop = new AbortController();
  const listeners = new Set<Listener>();
  let position = after;
  /** Whom any fact wakes, also one that is held. */
  let arriving: (() => void)[] = [];
  let received = after;
  let held: Fact[] = [];
  let unfolding: Unfold = () => undefined;
  let isUnfolding = false;
  let asking: Promise<number> | undefined;
  let askedNext: Promise<number> | undefined;

  const running = (async () => {
    for await (const facts of log.feed(after, stop.signal)) {
      const all = held.length > 0 ? [...held, ...facts] : facts;
      const whole = wholeGroups(all);
      held = all.slice(whole);
      received = all.at(-1)?.position ?? received;
      const telling = tell(whole === all.length ? all : all.slice(0, whole));
      if (telling) await telling;
      wakeAll();
    }
  })();

  function wakeAll(): void {
    const woken = arriving;
    arriving = [];
    for (const wake of woken) wake();
  }

  /** Fact by fact through all listeners, so that each decides with what held at that place in the log. */
  function tell(ready: readonly Fact[]): Soon<void> {
    for (const [index, fact] of ready.entries()) {
      const parts = unfolding(fact);
      if (parts) return tellParts(parts, ready, index);
      for (const listener of listeners) listener.take(fact);
    }
    position = ready.at(-1)?.position ?? position;
    flush();
  }

  /** Part by part, so that what they come to leaves the process while the next are told; then the fact itself, and what follows it. */
  async function tellParts(
    parts: AsyncIterable<readonly Fact[]>,
    ready: readonly Fact[],
    index: number,
  ): Promise<void> {
    isUnfolding = true;
    position = ready[index - 1]?.position ?? position;
    flush();
    wakeAll();
    for await (const part of parts) {
      for (const fact of part) for (const listener of listeners) listener.take(fact);
      flush();
      await turn();
    }
    isUnfolding = false;
    const whole = ready[index] as Fact;
    for (const listener of listeners) listener.take(whole);
    position = whole.position;
    await tell(ready.slice(index + 1));
  }

  function flush(): void {
    for (const listener of listeners) listener.flush?.();
  }

  /** Callers share a question to the leader, but only one that was asked after they called. */
  function ask(): Promise<number> {
    if (asking === undefined) {
      const asked = log.end(received).finally(() => {
        asking = undefined;
      });
      asking = asked;
      return asked;
    }
    askedNext ??= asking
      .catch(() => undefined)
      .then(() => {
        askedNext = undefined;
        return ask();
      });
    return askedNext;
  }

  async function caughtUp(): Promise<void> {
    const wanted = await ask();
    let end = wanted;
    while (position < wanted) {
      while (received < end || isUnfolding) await new Promise<void>((resolve) => arriving.push(resolve));
      if (position >= wanted) return;
      // All that the log held is here, and still a group waits for its end. If the log ends where it did, it has forgotten that.
      const now = await ask();
      if (now === end && received === end) await tell(held.splice(0));
      end = now;
    }
  }

  /** Mostly it is on its way. Only if it does not come is the log asked: the fact may have been forgotten, or its group wait. */
  async function arrival(wanted: number): Promise<void> {
    const late = Promise.withResolvers<"late">();
    const timer = setTimeout(() => late.resolve("late"), arrivalMsMax);
    try {
      while (position < wanted) {
        const next = new Promise<void>((resolve) => arriving.push(resolve));
        if ((await Promise.race([next, late.promise])) === "late") return await caughtUp();
      }
    } finally {
      clearTimeout(timer);
    }
  }

  return {
    get position() {
      return position;
    },
    listen(listener) {
      listeners.add(listener);
      return { [Symbol.dispose]: () => void listeners.delete(listener) };
    },
    unfold(unfold) {
      unfolding = unfold;
      return { [Symbol.dispose]: () => void (unfolding = () => undefined) };
    },
    known: (wanted) => (position >= wanted ? undefined : arrival(wanted)),
    caughtUp,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}

/** How many of the facts can go out: a group waits for its end, or for whatever took the place of its end. */
function wholeGroups(facts: readonly Fact[]): number {
  const newest = facts.at(-1)?.position ?? 0;
  let whole = facts.length;
  while (whole > 0 && (facts[whole - 1] as Fact).groupEnd > newest) whole--;
  return whole;
}

/**
 * A broker that refuses may have yet to hear of what another one acknowledged: it asks once more when it has caught up.
 * @throws what the question throws
 */
export function askedTwice(
  follower: Pick<Follower, "position" | "caughtUp">,
  ask: () => Soon<void>,
): Soon<void> {
  const { position } = follower;
  const again = async (refusal: unknown): Promise<void> => {
    if (!(refusal instanceof Refusal)) throw refusal;
    await follower.caughtUp();
    if (follower.position === position) throw refusal;
    await ask();
  };
  try {
    const asked = ask();
    return asked instanceof Promise ? asked.catch(again) : asked;
  } catch (refusal) {
    return again(refusal);
  }
}
