// The gate: so many requests are under way at once, in the order in which they came.
// In: whoever wants to send. Out: leave to do so. Never: more than the gate lets through, or a place kept for whoever has left.

export interface Gate {
  /** @returns what gives the place back; undefined once the signal comes */
  enter(signal: AbortSignal): Promise<(() => void) | undefined>;
}

export function openGate(atOnce: number): Gate {
  let free = atOnce;
  const waiting = new Set<() => void>();

  function leave(): void {
    free++;
    const [next] = waiting;
    next?.();
  }

  return {
    async enter(signal) {
      if (signal.aborted) return undefined;
      if (free > 0) {
        free--;
        return leave;
      }
      return await new Promise((resolve) => {
        const enter = (): void => {
          waiting.delete(enter);
          signal.removeEventListener("abort", giveUp);
          // Taken in the same moment, so that nobody gets in between.
          free--;
          resolve(leave);
        };
        const giveUp = (): void => {
          waiting.delete(enter);
          resolve(undefined);
        };
        waiting.add(enter);
        signal.addEventListener("abort", giveUp, { once: true });
      });
    },
  };
}
