// The follower: one feed a broker, shared by everything that must know each fact.
// In: the log. Out: each batch of facts to each listener, in order, groups whole. Never: a listener that waits, or half a group.
import type { Soon } from "../core/soon.ts";
import type { Fact, Log } from "./log.ts";

export interface Listener {
  take(fact: Fact): void;
  /** After a run of facts that came together: time to write out. */
  flush?(): void;
}

export interface Follower extends AsyncDisposable {
  /** The position up to which every listener has been told everything. */
  readonly position: number;
  listen(listener: Listener): Disposable;
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
  let asking: Promise<number> | undefined;
  let askedNext: Promise<number> | undefined;

  const running = (async () => {
    for await (const facts of log.feed(after, stop.signal)) take(facts);
  })();

  function take(facts: readonly Fact[]): void {
    const all = held.length > 0 ? [...held, ...facts] : facts;
    const whole = wholeGroups(all);
    held = all.slice(whole);
    tell(whole === all.length ? all : all.slice(0, whole));
    received = all.at(-1)?.position ?? received;
    const woken = arriving;
    arriving = [];
    for (const wake of woken) wake();
  }

  function tell(ready: readonly Fact[]): void {
    const newest = ready.at(-1);
    if (newest === undefined) return;
    // Fact by fact through all listeners, so that each decides with what held at that place in the log.
    for (const fact of ready) {
      for (const listener of listeners) listener.take(fact);
    }
    position = newest.position;
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
      while (received < end) await new Promise<void>((resolve) => arriving.push(resolve));
      if (position >= wanted) return;
      // All that the log held is here, and still a group waits for its end. If the log ends where it did, it has forgotten that.
      const now = await ask();
      if (now === end && received === end) tell(held.splice(0));
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
