// The ends of crowds: what one fact in the log means for each property that carries the crowd's mark.
// In: the feed. Out: their ends, told at once; later each is written out by itself, without another revision. Never: an end that is told twice.
import { setTimeout as delay } from "node:timers/promises";
import { deadline } from "../core/property.ts";
import { stateOf } from "../store/decoded.ts";
import type { Follower } from "../store/follower.ts";
import type { Heads } from "../store/heads.ts";
import { Conflict, type Fact, type Log } from "../store/log.ts";
import { propertyAppend } from "./appends.ts";
import { afterCrowd, type CrowdEnd, crowdEndOf, leavingOf, mayBeMarked } from "./crowd-facts.ts";

export interface CrowdEndsDeps {
  readonly log: Pick<Log, "last">;
  readonly heads: Heads;
  readonly follower: Follower;
  readonly now: () => number;
  readonly keeper: string;
  /** The subjects that carry this mark, as far as the feed has come; asked for once. */
  readonly carrying: (crowd: string) => readonly string[];
  /** That subject carries the mark no more. */
  readonly left: (crowd: string, subject: string) => void;
  /** What such a subject holds, unless memory for that ran out. */
  readonly known: (subject: string) => Fact | undefined;
  readonly onTrouble: (message: string) => void;
  /** How late the end of one of this broker's leases was, in ms. */
  readonly onEnded: (lateMs: number) => void;
}

export interface CrowdEnds extends Disposable {
  /** How a property stands if its crowd has ended, up to a position; the fact itself otherwise. */
  stands(fact: Fact, upTo?: number): Fact;
  /** The same fact, and that whatever is written over it leaves a crowd which has not ended. */
  guarded(fact: Fact): Fact;
}

interface Leaving {
  readonly crowd: string;
  readonly subjects: Set<string>;
  readonly timeMs: number;
}

/** Told in one turn, so that they leave the process while the next are told. */
const toldAtOnce = 250;
/** Written out at a time. */
const writtenAtOnce = 250;
/** First comes whoever hears of the ends; and other brokers' leases are left to them for longer. */
const writtenAfterMs = { own: 1_000, others: 4_000 };
const retryDelayMs = 200;
/** Facts that carry a mark are looked at for so long, at most, after it was written over. */
const leavingsMs = 60_000;
/** Ends are known for so long, and until each that they ended is written out. */
const endsMs = 3_600_000;

export function openCrowdEnds(deps: CrowdEndsDeps): CrowdEnds {
  const { log, heads, follower, now, keeper, onTrouble, onEnded } = deps;
  const ends = new Map<string, CrowdEnd>();
  /** Who left each crowd before it ended: what a slow reader still holds of it has not ended with the others. */
  const leavings = new Map<string, Leaving>();
  /** Ended by a crowd's end, and not written out yet. */
  const unwritten = new Map<string, CrowdEnd>();
  const timers = new Set<NodeJS.Timeout>();
  let closed = false;

  const listening = follower.listen({
    take(fact) {
      if (fact.basis === undefined) unwritten.delete(fact.subject);
      const leaving = leavingOf(fact);
      if (leaving) takeLeaving(leaving.crowd, leaving.subjects, fact.timeMs);
    },
  });
  const unfolding = follower.unfold((fact) => {
    const end = crowdEndOf(fact);
    if (end === undefined) return undefined;
    for (const one of olderThan(ends, end.timeMs - endsMs)) if (!isOpen(one)) ends.delete(one.crowd);
    ends.set(end.crowd, end);
    return parts(end);
  });

  function isOpen(end: CrowdEnd): boolean {
    for (const one of unwritten.values()) if (one === end) return true;
    return false;
  }

  function takeLeaving(crowd: string, left: readonly string[], timeMs: number): void {
    for (const one of olderThan(leavings, timeMs - leavingsMs)) leavings.delete(one.crowd);
    const subjects = leavings.get(crowd)?.subjects ?? new Set();
    // The last comes last.
    leavings.delete(crowd);
    for (const subject of left) {
      subjects.add(subject);
      deps.left(crowd, subject);
    }
    leavings.set(crowd, { crowd, subjects, timeMs });
  }

  async function* parts(end: CrowdEnd): AsyncGenerator<readonly Fact[]> {
    const subjects = deps.carrying(end.crowd);
    const own: string[] = [];
    const others: string[] = [];
    for (let from = 0; from < subjects.length; from += toldAtOnce) {
      const part: Fact[] = [];
      const nowMs = now();
      for (const subject of subjects.slice(from, from + toldAtOnce)) {
        const fact = deps.known(subject) ?? (await read(subject));
        if (fact === undefined) continue;
        const ended = stands(fact);
        // What was written since, the feed brings.
        if (ended === fact) continue;
        const state = stateOf(fact);
        if (state.keeper === keeper) onEnded(nowMs - (deadline(state) ?? end.endsMs));
        (state.keeper === keeper ? own : others).push(subject);
        unwritten.set(subject, end);
        part.push(ended);
      }
      yield part;
    }
    later(own, end, writtenAfterMs.own);
    later(others, end, writtenAfterMs.others);
  }

  async function read(subject: string): Promise<Fact | undefined> {
    while (!closed) {
      try {
        return await log.last(subject);
      } catch (error) {
        onTrouble(`the end of a lease cannot be told yet: ${(error as Error).message}`);
        await delay(retryDelayMs);
      }
    }
    return undefined;
  }

  function later(subjects: readonly string[], end: CrowdEnd, ms: number): void {
    if (subjects.length === 0 || closed) return;
    const timer = setTimeout(() => {
      timers.delete(timer);
      void writeOut(subjects, end);
    }, ms);
    timer.unref();
    timers.add(timer);
  }

  /** From now on the log says of each by itself how it stands; readers see no change. */
  async function writeOut(subjects: readonly string[], end: CrowdEnd): Promise<void> {
    const failed: string[] = [];
    for (let from = 0; from < subjects.length && !closed; from += writtenAtOnce) {
      const some = subjects.slice(from, from + writtenAtOnce);
      await Promise.all(some.map(async (subject) => (await writeOne(subject, end)) || failed.push(subject)));
    }
    later(failed, end, retryDelayMs);
  }

  /** @returns whether that is done with */
  async function writeOne(subject: string, end: CrowdEnd): Promise<boolean> {
    if (unwritten.get(subject) !== end) return true;
    try {
      const fact = await heads.get(subject);
      const ended = fact && stands(fact);
      if (ended?.basis === undefined || ended.position !== end.position) return true;
      await heads.append([propertyAppend(subject, stateOf(ended), ended)]);
      return true;
    } catch (error) {
      // On a conflict somebody has written there, by which it is written out as well.
      if (error instanceof Conflict) return true;
      onTrouble(`the end of a lease is not written out yet: ${(error as Error).message}`);
      return false;
    }
  }

  function stands(fact: Fact, upTo = Number.POSITIVE_INFINITY): Fact {
    if (!mayBeMarked(fact)) return fact;
    const { crowd } = stateOf(fact);
    const end = crowd === undefined ? undefined : ends.get(crowd);
    if (end === undefined || end.position < fact.position || end.position > upTo) return fact;
    return leavings.get(end.crowd)?.subjects.has(fact.subject) ? fact : afterCrowd(fact, end);
  }

  function guarded(fact: Fact): Fact {
    if (!mayBeMarked(fact)) return fact;
    const { crowd } = stateOf(fact);
    if (crowd === undefined || ends.has(crowd)) return fact;
    return { ...fact, basis: { expected: fact.position, leaves: crowd } };
  }

  return {
    stands,
    guarded,
    [Symbol.dispose]() {
      closed = true;
      for (const timer of timers) clearTimeout(timer);
      listening[Symbol.dispose]();
      unfolding[Symbol.dispose]();
    },
  };
}

/** The oldest comes first. */
function* olderThan<T extends { readonly timeMs: number }>(known: Map<string, T>, ms: number): Iterable<T> {
  for (const one of known.values()) {
    if (one.timeMs >= ms) return;
    yield one;
  }
}
