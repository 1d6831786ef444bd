// Group commit: what waits together is made durable together.
// In: units of facts that must apply wholly or not at all. Out: the position of each unit's first fact. Never: a lone writer kept waiting.
import { randomBytes } from "node:crypto";
import { inParts } from "../core/parts.ts";
import { type CommitLimits, commitLimits } from "./commit-limits.ts";
import { type Append, Conflict, LogUnavailable, OutcomeUnknown } from "./log.ts";

/** Facts that apply together, under one id by which they are found again. */
export interface Unit {
  readonly id: string;
  readonly facts: readonly Append[];
}

export interface Writer {
  /** Writes one fact by itself. @param withinMs for an answer, where less than usual is left. @returns its position */
  single(unit: Unit, withinMs?: number): Promise<number>;
  /** Writes all facts of all units or none. @returns the position of the first */
  batch(units: readonly Unit[], withinMs?: number): Promise<number>;
  /** Where this very unit's first fact lies, if it is still to be found. */
  find(unit: Unit): Promise<number | undefined>;
  /** Those that something was written over, as far as the log shows: they can never apply. */
  overtaken(units: readonly Unit[]): Promise<ReadonlySet<Unit>>;
}

/** Characters in one batch, so that large values are answered for in time. */
const batchCharsMax = 4 * 1024 * 1024;
/** Of a crowd that is gone so much is remembered from one batch to the next. */
const crowdKept = 0.98;
/** Groups that are settled at a time: each is a batch of its own, and the server drops those past 50. */
const settledAtOnce = 8;
/** In less time it is not tried once more. */
const attemptMsMin = 50;

interface Waiting extends Unit {
  readonly sinceMs: number;
  readonly resolve: (position: number) => void;
  readonly reject: (error: Error) => void;
}

export interface GroupCommit {
  append(facts: readonly Append[]): Promise<number>;
  /** Facts that wait or are on their way. */
  pending(): number;
}

/** @param nowMs any clock that only goes forward */
export function groupCommit(
  writer: Writer,
  limits: CommitLimits = commitLimits,
  nowMs: () => number = () => performance.now(),
): GroupCommit {
  let queue: Waiting[] = [];
  let waiting = 0;
  let pending = 0;
  let singles = 0;
  let batches = 0;
  /** As many as lately waited and were on their way together. */
  let crowd = 0;
  let scheduled = false;
  /** The last that came of a write was no answer. */
  let silent = false;
  // One random prefix and a number: unique without drawing randomness for each write.
  const idPrefix = randomBytes(12).toString("base64url");
  let ids = 0;

  function append(facts: readonly Append[]): Promise<number> {
    if (pending + facts.length > limits.waitingMax) {
      return Promise.reject(new LogUnavailable("too many writes are waiting"));
    }
    return new Promise((resolve, reject) => {
      const id = `${idPrefix}-${(++ids).toString(36)}`;
      queue.push({ id, facts, sinceMs: nowMs(), resolve, reject });
      waiting += facts.length;
      pending += facts.length;
      crowd = Math.max(crowd, pending);
      if (waiting >= share() && batches < limits.batchesInFlightMax) pump();
      else schedule();
    });
  }

  /** As much as one batch takes: what comes in lockstep would stay so, and the writers and the store wait for each other in turn. */
  function share(): number {
    return crowd < limits.halvedFrom ? limits.batchMax : Math.min(limits.batchMax, Math.ceil(crowd / 2));
  }

  /** Once per turn of the event loop, so that whatever arrived in one turn can share a batch. */
  function schedule(): void {
    if (scheduled) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      pump();
    });
  }

  function pump(): void {
    if (silent) refuse((unit) => leftMs(unit) < limits.patienceMs / 2);
    let taken = 0;
    while (taken < queue.length) {
      const head = queue[taken] as Waiting;
      if (waiting < limits.batchFrom && head.facts.length === 1) {
        if (singles >= limits.singlesInFlightMax) break;
        taken++;
        waiting--;
        singles++;
        void writeSingle(head).finally(() => {
          singles--;
          if (queue.length > 0) schedule();
        });
      } else {
        if (batches >= limits.batchesInFlightMax) break;
        const units = takeBatch(taken);
        taken += units.length;
        batches++;
        crowd = Math.max(pending, crowd * crowdKept);
        void writeBatch(units).finally(() => {
          batches--;
          if (queue.length > 0) schedule();
        });
      }
    }
    if (taken > 0) queue = queue.slice(taken);
  }

  /**
   * Whole units, as many as fit; what is written comes once, and no other unit relies on where it stands,
   * since the server checks each condition against the time before the batch.
   */
  function takeBatch(from: number): Waiting[] {
    const units: Waiting[] = [];
    const written = new Set<string>();
    const reliedOn = new Set<string>();
    const collides = ({ subject, of = subject }: Append): boolean =>
      written.has(subject) || written.has(of) || reliedOn.has(subject);
    let size = 0;
    let chars = 0;
    for (let i = from; i < queue.length; i++) {
      const unit = queue[i] as Waiting;
      const hasRoom = size + unit.facts.length <= share() && chars < batchCharsMax;
      if ((units.length > 0 && !hasRoom) || unit.facts.some(collides)) break;
      for (const { subject, of, body } of unit.facts) {
        chars += body.length;
        written.add(subject);
        if (of !== undefined) reliedOn.add(of);
      }
      units.push(unit);
      size += unit.facts.length;
    }
    waiting -= size;
    return units;
  }

  async function writeSingle(unit: Waiting): Promise<void> {
    try {
      done(unit, await writer.single(unit));
    } catch (error) {
      await failed([unit], error as Error);
    }
  }

  async function writeBatch(units: readonly Waiting[]): Promise<void> {
    try {
      let position = await writer.batch(units);
      for (const unit of units) {
        done(unit, position);
        position += unit.facts.length;
      }
    } catch (error) {
      await failed(units, error as Error);
    }
  }

  async function failed(units: readonly Waiting[], error: Error): Promise<void> {
    silent = error instanceof OutcomeUnknown;
    if (silent) {
      const [ones, groups] = [units.filter(isOne), units.filter((unit) => !isOne(unit))];
      await Promise.all(ones.map(settle));
      for (const some of inParts(groups, settledAtOnce)) await Promise.all(some.map(settle));
    } else if (error instanceof Conflict && units.length > 1) {
      await sort(units, error);
    } else {
      for (const unit of units) rejected(unit, error);
    }
  }

  /** Stale units refused them all. The others are sent again, one batch after the other: the server drops what exceeds its own limit. */
  async function sort(units: readonly Waiting[], conflict: Error): Promise<void> {
    const stale = await overtaken(units);
    const others: Waiting[] = [];
    for (const unit of units) {
      if (stale.has(unit)) rejected(unit, conflict);
      else if (leftMs(unit) < attemptMsMin) rejected(unit, new LogUnavailable("others kept the store busy"));
      else others.push(unit);
    }
    // Where the log shows none, halving finds it.
    const middle = stale.size === 0 ? others.length >> 1 : 0;
    for (const some of [others.slice(0, middle), others.slice(middle)])
      if (some.length > 0) await write(some);
  }

  async function overtaken(units: readonly Waiting[]): Promise<ReadonlySet<Unit>> {
    try {
      return await writer.overtaken(units);
    } catch {
      // Then halving has to find them.
      return new Set();
    }
  }

  function write(units: readonly Waiting[]): Promise<void> {
    const [only] = units;
    return units.length === 1 && only && isOne(only) ? writeSingle(only) : writeBatch(units);
  }

  /** No answer came: where there is time for it, write again under the same conditions. If it is refused now, either we had won or somebody else did. */
  async function settle(unit: Waiting): Promise<void> {
    const withinMs = leftMs(unit);
    if (withinMs < attemptMsMin) return rejected(unit, unanswered());
    try {
      done(unit, isOne(unit) ? await writer.single(unit, withinMs) : await writer.batch([unit], withinMs));
    } catch (error) {
      // Whatever this attempt met, the first one may have been applied.
      if (!(error instanceof Conflict)) {
        if (error instanceof OutcomeUnknown) refuse(() => true);
        return rejected(unit, new OutcomeUnknown((error as Error).message));
      }
      try {
        const position = await writer.find(unit);
        // A later fact may have taken our place, so that not finding it proves nothing.
        if (position === undefined) rejected(unit, unanswered());
        else done(unit, position);
      } catch (unreadable) {
        rejected(unit, new OutcomeUnknown(`the store did not answer: ${(unreadable as Error).message}`));
      }
    }
  }

  /** Nothing of theirs was sent. */
  function refuse(isRefused: (unit: Waiting) => boolean): void {
    const { refused = [], kept = [] } = Object.groupBy(queue, (unit) =>
      isRefused(unit) ? "refused" : "kept",
    );
    queue = kept;
    for (const unit of refused) {
      waiting -= unit.facts.length;
      rejected(unit, new LogUnavailable("the store does not answer"));
    }
  }

  function leftMs({ sinceMs }: Waiting): number {
    return sinceMs + limits.patienceMs - nowMs();
  }

  function done(unit: Waiting, position: number): void {
    silent = false;
    pending -= unit.facts.length;
    unit.resolve(position);
  }

  function rejected(unit: Waiting, error: Error): void {
    pending -= unit.facts.length;
    unit.reject(error);
  }

  return { append, pending: () => pending };
}

function isOne({ facts }: Unit): boolean {
  return facts.length === 1;
}

function unanswered(): OutcomeUnknown {
  return new OutcomeUnknown("the store did not answer in time");
}
