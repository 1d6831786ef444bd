// Lag: how long a fact that was told last had been in the log by then.
// In: the follower. Out: ms. Never: a look at the clock for each fact of a run.
import type { Follower } from "./follower.ts";

export interface Lag extends Disposable {
  readonly ms: number;
}

export function openLag(follower: Follower, now: () => number): Lag {
  let storedMs = 0;
  let ms = 0;
  const listening = follower.listen({
    take(fact) {
      storedMs = fact.timeMs;
    },
    flush() {
      ms = Math.max(0, now() - storedMs);
    },
  });
  return {
    get ms() {
      return ms;
    },
    [Symbol.dispose]: () => listening[Symbol.dispose](),
  };
}
