// The limits of group commit.
// In: nothing. Out: numbers that were measured. Never: one that changes while the broker runs.

export interface CommitLimits {
  /** From so many waiting facts on, a batch is cheaper than single writes. */
  readonly batchFrom: number;
  /** Facts in one batch; the server takes 1,000 at most. */
  readonly batchMax: number;
  readonly batchesInFlightMax: number;
  /** From so many facts at once on, no batch takes more than half of them: while it is synced, the next is gathered. */
  readonly halvedFrom: number;
  readonly singlesInFlightMax: number;
  /** Past this the log says that it is overloaded, rather than grow. */
  readonly waitingMax: number;
  /** Nobody is kept waiting for longer by a store that does not answer, in ms. */
  readonly patienceMs: number;
}

/** Measured by bench/write.ts; docs/decisions/group-commit.md tells how they were found. */
export const commitLimits: CommitLimits = {
  batchFrom: 8,
  batchMax: 512,
  batchesInFlightMax: 2,
  halvedFrom: 128,
  singlesInFlightMax: 8,
  waitingMax: 50_000,
  patienceMs: 1_900,
};

/** Every fact by itself: what the benchmark holds group commit against. */
export const singleCommits: CommitLimits = {
  ...commitLimits,
  batchFrom: Number.POSITIVE_INFINITY,
  singlesInFlightMax: Number.POSITIVE_INFINITY,
};
