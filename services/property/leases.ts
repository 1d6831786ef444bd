// Leases: which properties are leased, until when, and by which lease; and their end.
// In: the feed. Out: tombstones and default values at the deadline, on the lease's own position as the condition; of many together, in one fact.
// Never: an end before the deadline, or one that undoes a renewal that got in first.
import { Deadlines } from "../core/deadlines.ts";
import { MultiMap } from "../core/multi-map.ts";
import { deadline, endLeases } from "../core/property.ts";
import type { Soon } from "../core/soon.ts";
import { stateOf } from "../store/decoded.ts";
import type { Follower } from "../store/follower.ts";
import type { Heads } from "../store/heads.ts";
import { type Basis, Conflict, type Fact, type Log, OutcomeUnknown } from "../store/log.ts";
import { mayBeLeased, propertyAppend } from "./appends.ts";
import { openCrowdEnds } from "./crowd-ends.ts";
import { type CrowdLimits, crowdLimits, type Ending, openCrowds } from "./crowds.ts";

export interface LeaseDeps {
  readonly domain: string;
  readonly log: Log;
  readonly heads: Heads;
  readonly follower: Follower;
  readonly now: () => number;
  /** Names this broker in the leases that it grants. */
  readonly keeper: string;
  readonly crowds?: CrowdLimits | undefined;
  readonly onTrouble: (message: string) => void;
  /** How late the sweeper was, in ms, for each lease that it ended. */
  readonly onEnded?: (lateMs: number) => void;
}

export interface Leases extends Disposable {
  /** Ends the leases of this fact whose time has come. @returns the property's fact as it then stands */
  settle(fact: Fact): Soon<Fact | undefined>;
  /** The same for a fact that was read by itself: a broker whose clock is ahead may have ended it with many others. */
  settleSurely(fact: Fact): Soon<Fact | undefined>;
  /** How a fact of a snapshot stands: its leases may have ended with many others, up to the snapshot's position. */
  stands(fact: Fact, upTo: number): Fact;
  /** The subjects of properties on which this account holds this lease. */
  holding(account: string, leaseId: string): readonly string[];
  /** How many properties are leased. */
  readonly size: number;
}

interface Leased {
  readonly position: number;
  readonly deadlineMs: number;
  /** When this broker sweeps it: later, where the lease is another broker's. */
  readonly dueMs: number;
  readonly basis: Basis | undefined;
  /** What the sweeper needs at the deadline, unless memory for that ran out. */
  readonly body: string | undefined;
  readonly keys: readonly string[];
  readonly crowd: string | undefined;
}

/** Another broker's leases are left to it for so long, so that two do not sweep against each other. */
const graceMs = 250;
const retryDelayMs = 200;
/** A read that ends a lease asks again so often when the store did not say whether it did. */
const unansweredMax = 2;
/** Bodies kept for the sweeper, in characters over all leases. */
const keptBodiesMax = 64 * 1024 * 1024;
/** Ends that are on their way at a time: enough to keep group commit busy. What else is due waits where it is. */
const endingMax = 1_500;
/** Begun in one turn of the event loop, so that the first are on the wire while the last are still decided. */
const begunAtOnce = 500;

export function openLeases(deps: LeaseDeps): Leases {
  const { domain, log, heads, follower, now, keeper, onTrouble, onEnded = () => undefined } = deps;
  const leased = new Map<string, Leased>();
  const byLease = new MultiMap();
  const deadlines = new Deadlines<string>();
  /** When each subject is next looked at: one place in the queue for each, however often it is renewed. */
  const queued = new Map<string, number>();
  const sweeping = new Set<string>();
  /** By the crowd whose mark they carry. */
  const marked = new MultiMap();
  const crowds = openCrowds({ domain, limits: deps.crowds ?? crowdLimits, log, heads, now, collect });
  const ends = openCrowdEnds({
    log,
    heads,
    follower,
    now,
    keeper,
    carrying: (crowd) => marked.take(crowd),
    left: (crowd, subject) => marked.delete(crowd, subject),
    known: (subject) => known(subject, leased.get(subject)),
    onTrouble,
    onEnded,
  });
  let keptBodies = 0;
  let timer: NodeJS.Timeout | undefined;
  let timerMs = Number.POSITIVE_INFINITY;
  let closed = false;

  const listening = follower.listen({ take, flush: arm });

  function take(fact: Fact): void {
    if (!fact.subject.includes(".property.")) return;
    // Of what ended with many others, its own fact will say so when there is time.
    if (fact.basis && deadline(stateOf(fact)) === undefined) return;
    forget(fact.subject);
    if (!mayBeLeased(fact)) return;
    const state = stateOf(fact);
    const deadlineMs = deadline(state);
    if (deadlineMs === undefined) return;
    const keys: string[] = [];
    for (const view of state.views.values()) if (view.lease) keys.push(leaseKey(view.by, view.lease.id));
    const keeps = keptBodies + fact.body.length <= keptBodiesMax;
    if (keeps) keptBodies += fact.body.length;
    const dueMs = deadlineMs + (state.keeper === keeper ? 0 : graceMs);
    const body = keeps ? fact.body : undefined;
    const { position, basis } = fact;
    const { crowd } = state;
    leased.set(fact.subject, { position, deadlineMs, dueMs, basis, body, keys, crowd });
    if (crowd !== undefined) marked.add(crowd, fact.subject);
    for (const key of keys) byLease.add(key, fact.subject);
    if (isOwn(dueMs, deadlineMs)) crowds.add(dueMs);
    if (!crowds.leads(crowd)) queue(fact.subject, dueMs);
  }

  function queue(subject: string, atMs: number): void {
    if ((queued.get(subject) ?? Number.POSITIVE_INFINITY) <= atMs) return;
    queued.set(subject, atMs);
    deadlines.add(atMs, subject);
  }

  function forget(subject: string): void {
    const entry = leased.get(subject);
    if (entry === undefined) return;
    leased.delete(subject);
    if (isOwn(entry.dueMs, entry.deadlineMs)) crowds.remove(entry.dueMs);
    if (entry.crowd !== undefined) marked.delete(entry.crowd, subject);
    keptBodies -= entry.body?.length ?? 0;
    for (const key of entry.keys) byLease.delete(key, subject);
  }

  function arm(): void {
    const nextMs = deadlines.next();
    if (closed || nextMs === undefined || nextMs >= timerMs || sweeping.size >= endingMax) return;
    clearTimeout(timer);
    timerMs = nextMs;
    // A timer holds 2^31 ms at most; sweep() arms it anew.
    timer = setTimeout(sweep, Math.min(Math.max(Math.ceil(nextMs - now()), 0), 2 ** 31 - 1));
  }

  function sweep(): void {
    if (closed) return;
    timerMs = Number.POSITIVE_INFINITY;
    const nowMs = now();
    const endingAtOnce = Math.min(sweeping.size + begunAtOnce, endingMax);
    while (sweeping.size < endingAtOnce) {
      const subject = deadlines.take(nowMs);
      if (subject === undefined) {
        arm();
        return;
      }
      queued.delete(subject);
      const entry = leased.get(subject);
      if (entry === undefined || sweeping.has(subject)) continue;
      if (entry.dueMs > nowMs) queue(subject, entry.dueMs);
      else void end(subject, entry);
    }
    // Whoever has ended arms it again.
    if (sweeping.size >= endingMax) return;
    timerMs = nowMs;
    setImmediate(sweep);
  }

  /** Takes what is due then out of the queue. */
  function collect(fromMs: number, toMs: number): readonly Ending[] {
    const endings: Ending[] = [];
    const others: [number, string][] = [];
    for (let subject = deadlines.take(toMs); subject !== undefined; subject = deadlines.take(toMs)) {
      queued.delete(subject);
      const entry = leased.get(subject);
      if (entry === undefined || sweeping.has(subject)) continue;
      const { dueMs, deadlineMs } = entry;
      if (isOwn(dueMs, deadlineMs) && dueMs >= fromMs && dueMs < toMs) endings.push(endingOf(subject, entry));
      else others.push([dueMs, subject]);
    }
    for (const [dueMs, subject] of others) queue(subject, dueMs);
    return endings;
  }

  function endingOf(subject: string, entry: Leased): Ending {
    return {
      dueMs: entry.dueMs,
      mark(crowd) {
        const fact = leased.get(subject) === entry && !entry.crowd ? known(subject, entry) : undefined;
        return fact && propertyAppend(subject, { ...stateOf(fact), crowd }, fact);
      },
      carries: (crowd) => leased.get(subject)?.crowd === crowd,
      giveBack() {
        const current = leased.get(subject);
        if (current) queue(subject, current.dueMs);
        arm();
      },
    };
  }

  async function end(subject: string, entry: Leased): Promise<void> {
    sweeping.add(subject);
    try {
      const fact = known(subject, entry) ?? (await log.last(subject));
      if (fact !== undefined && (await append(ends.stands(fact)))) onEnded(now() - entry.deadlineMs);
    } catch (error) {
      // On a conflict somebody renewed or ended it, as the feed will tell; or a cluster refused it for nothing.
      if (!(error instanceof Conflict))
        onTrouble(`a lease could not be ended yet: ${(error as Error).message}`);
      queue(subject, now() + retryDelayMs);
    } finally {
      sweeping.delete(subject);
      const newer = leased.get(subject);
      if (newer !== undefined && newer !== entry) queue(subject, newer.dueMs);
      arm();
    }
  }

  function known(subject: string, entry: Leased | undefined): Fact | undefined {
    const fact = heads.peek(subject);
    if (entry === undefined || fact?.position === entry.position) return entry && fact;
    const { position, body, basis } = entry;
    return body === undefined ? undefined : { subject, position, body, timeMs: 0, groupEnd: position, basis };
  }

  /** @returns the fact that ended them, or undefined when no lease of this fact has ended. @throws Conflict */
  async function append(found: Fact): Promise<Fact | undefined> {
    const nowMs = now();
    const fact = ends.guarded(found);
    const next = ends.stands(found) === found ? endLeases(stateOf(fact), nowMs, keeper) : undefined;
    if (next === undefined) return undefined;
    const one = propertyAppend(fact.subject, next, fact);
    const position = await heads.append([one]);
    return { subject: fact.subject, position, timeMs: nowMs, body: one.body, groupEnd: position };
  }

  function settle(found: Fact): Soon<Fact | undefined> {
    const fact = ends.stands(found);
    return hasEnded(fact) ? settleEnded(fact) : ends.guarded(fact);
  }

  function settleSurely(found: Fact): Soon<Fact | undefined> {
    const fact = ends.stands(found);
    if (hasEnded(fact) || ends.guarded(fact).basis?.leaves === undefined) return settle(found);
    return follower.caughtUp().then(() => settle(found));
  }

  function hasEnded(fact: Fact): boolean {
    if (!mayBeLeased(fact)) return false;
    const deadlineMs = deadline(stateOf(fact));
    return deadlineMs !== undefined && deadlineMs <= now();
  }

  async function settleEnded(fact: Fact): Promise<Fact | undefined> {
    let current: Fact | undefined = fact;
    let unanswered = 0;
    while (current !== undefined && hasEnded(current)) {
      try {
        const ended: Fact | undefined = await append(current);
        if (ended === undefined) return current;
        current = ended;
      } catch (error) {
        // Whoever reads need not know whose append it was: the log tells how the property stands.
        const isOpen = error instanceof OutcomeUnknown && ++unanswered < unansweredMax;
        if (!(error instanceof Conflict) && !isOpen) throw error;
        // Its crowd may have ended: that the feed will tell.
        if (ends.guarded(current).basis?.leaves) await follower.caughtUp();
        const fresh = await heads.refresh(current.subject);
        current = fresh && ends.stands(fresh);
      }
    }
    return current && ends.guarded(current);
  }

  return {
    settle,
    settleSurely,
    stands: (fact, upTo) => ends.guarded(ends.stands(fact, upTo)),
    holding: (account, leaseId) => byLease.get(leaseKey(account, leaseId)),
    get size() {
      return leased.size;
    },
    [Symbol.dispose]() {
      closed = true;
      crowds[Symbol.dispose]();
      ends[Symbol.dispose]();
      clearTimeout(timer);
      listening[Symbol.dispose]();
    },
  };
}

/** Of another broker's the sweeper waits for longer. */
function isOwn(dueMs: number, deadlineMs: number): boolean {
  return dueMs === deadlineMs;
}

function leaseKey(account: string, leaseId: string): string {
  return `${account} ${leaseId}`;
}
