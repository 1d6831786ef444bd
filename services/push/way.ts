// The way: what was taken from a stream and is not delivered yet.
// In: word that a reader may know something no more. Out: a signal after which nothing of it is on its way. Never: a delivery cut off that the endpoint was about to acknowledge.

export interface Way extends Disposable {
  /** From now on something is on its way. */
  begin(): void;
  /** Nothing is any more. */
  end(): void;
  recall(): void;
  /** What is not sent yet must not be. */
  readonly isRecalled: boolean;
  /** What is being sent must not be either. */
  readonly signal: AbortSignal;
}

/** @param graceMs what is being sent may take as long */
export function openWay(signal: AbortSignal, graceMs: number): Way {
  const over = new AbortController();
  let isTaken = false;
  let isRecalled = false;
  let timer: NodeJS.Timeout | undefined;

  function end(): void {
    isTaken = false;
    isRecalled = false;
    clearTimeout(timer);
    timer = undefined;
  }

  return {
    begin() {
      isTaken = true;
    },
    end,
    recall() {
      if (!isTaken) return;
      isRecalled = true;
      timer ??= setTimeout(() => over.abort(), graceMs);
    },
    get isRecalled() {
      return isRecalled;
    },
    signal: AbortSignal.any([signal, over.signal]),
    [Symbol.dispose]: end,
  };
}
