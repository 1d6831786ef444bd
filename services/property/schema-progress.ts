// Where a schema worker is in its batch, in memory that both threads see, because a busy worker cannot be asked.
// In: the worker says which item it begins. Out: the main thread reads item and time. Never: values or verdicts.

/** The index of the item and, in nanoseconds of the machine's monotonic clock, when the worker began it. */
export type Progress = BigInt64Array<SharedArrayBuffer>;

export function createProgress(): Progress {
  return new BigInt64Array(new SharedArrayBuffer(16));
}

/** Main thread: a batch is on its way, no item has begun. */
export function beginBatch(progress: Progress): void {
  beginItem(progress, -1);
}

/** The time is written first, so that who reads a new index never reads it with an old time. */
export function beginItem(progress: Progress, index: number): void {
  Atomics.store(progress, 1, process.hrtime.bigint());
  Atomics.store(progress, 0, BigInt(index));
}

/** `index` is -1 until the worker has taken the batch up. */
export function readProgress(progress: Progress): { index: number; elapsedMs: number } {
  const index = Number(Atomics.load(progress, 0));
  return { index, elapsedMs: Number(process.hrtime.bigint() - Atomics.load(progress, 1)) / 1e6 };
}
