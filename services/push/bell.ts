// A bell: whoever waits for it hears one ring, also one that came before.
// In: rings, times, a signal. Out: word of what came first. Never: a ring that is lost.

export interface Bell {
  ring(): void;
  /** Forgets a ring that nobody heard. */
  hush(): void;
  /** Resolves with true at the next ring; with false after so many ms, or once the signal comes. */
  heard(signal: AbortSignal, ms?: number): Promise<boolean>;
}

const timerMsMax = 2 ** 31 - 1;

export function openBell(): Bell {
  let isRung = false;
  let wake: (() => void) | undefined;
  return {
    ring() {
      isRung = true;
      wake?.();
    },
    hush() {
      isRung = false;
    },
    async heard(signal, ms) {
      if (!isRung && !signal.aborted) await nextOf(signal, ms);
      const was = isRung;
      isRung = false;
      return was;
    },
  };

  /** A ring, the end of the time, or the signal. */
  async function nextOf(signal: AbortSignal, ms: number | undefined): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = ms === undefined ? undefined : setTimeout(resolve, Math.min(ms, timerMsMax));
    const onAbort = (): void => resolve();
    signal.addEventListener("abort", onAbort, { once: true });
    wake = resolve;
    await promise;
    wake = undefined;
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}
