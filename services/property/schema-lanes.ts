// In which order schema checks are served, so that what is slow waits for what is slow.
// In: jobs, and which types were slow. Out: batches for a worker. Never: runs, times or answers a job.

import type { SchemaVerdict } from "./schema-rules.ts";
import type { WorkerRequest } from "./schema-worker.ts";

export type Job = {
  request: WorkerRequest;
  /** Workers that died under it without overrunning: one may be another's fault, two are not. */
  deaths: number;
  settled: PromiseWithResolvers<SchemaVerdict>;
};

export interface Lanes {
  readonly size: number;
  push(job: Job): void;
  /** In their order, before everything that waits. */
  putBack(jobs: Job[]): void;
  /** For the worker of that number: the first serves both lanes, further ones never the slow one. */
  take(worker: number): Job[];
  /** Whether the type's next jobs wait in the slow lane. */
  note(job: Job, speed: "slow" | "fast"): void;
  drain(): Job[];
}

const BATCH_MAX = 64;
/** Types known as slow; with more of them, the oldest are forgotten and have to show it again. */
const SUSPECTS_MAX = 1000;
/** The slow lane gets a turn at least after so many batches of the fast one. */
const FAST_IN_A_ROW_MAX = 16;

export function createLanes(): Lanes {
  /** New schemas, and types that were slow. One job a batch. */
  const slow: Job[] = [];
  const fast: Job[] = [];
  const suspects = new Set<string>();
  let fastInARow = 0;

  function laneOf({ request }: Job): Job[] {
    return request.kind === "check" || suspects.has(request.key) ? slow : fast;
  }

  return {
    get size() {
      return slow.length + fast.length;
    },
    push(job) {
      laneOf(job).push(job);
    },
    putBack(jobs) {
      for (const job of jobs.toReversed()) laneOf(job).unshift(job);
    },
    take(worker) {
      if (worker > 0) return fast.splice(0, BATCH_MAX);
      const slowTurn = fast.length === 0 || fastInARow >= FAST_IN_A_ROW_MAX;
      fastInARow = slowTurn ? 0 : fastInARow + 1;
      const one = slowTurn ? slow.shift() : undefined;
      return one === undefined ? fast.splice(0, BATCH_MAX) : [one];
    },
    note({ request }, speed) {
      if (request.kind !== "validate") return;
      suspects.delete(request.key);
      if (speed === "fast") return;
      suspects.add(request.key);
      const oldest = suspects.values().next();
      if (suspects.size > SUSPECTS_MAX && !oldest.done) suspects.delete(oldest.value);
    },
    drain() {
      return [...fast.splice(0), ...slow.splice(0)];
    },
  };
}
