// Endings: who is told when a token ends, by revocation, by its time or with its account.
// In: the feed, and who wants to know. Out: one call for each. Never: silence while an ended token is in use.
import type { Principal } from "../core/principal.ts";
import type { Follower } from "../store/follower.ts";
import type { Fact } from "../store/log.ts";

export interface TokenEndings extends Disposable {
  /** Calls back once when the principal's token ends. */
  await(who: Principal, onEnd: () => void): Disposable;
}

/** What ends leaves an empty fact (tokens.ts). */
export const endedToken = "{}";

const timerMsMax = 2 ** 31 - 1;

export function openTokenEndings(
  follower: Follower,
  subjectOf: (local: string, tokenId: string) => string,
  /** Whether the token of this subject has ended already, as far as it is known here. */
  hasEnded: (subject: string) => boolean,
  now: () => number,
): TokenEndings {
  const waiting = new Map<string, Set<() => void>>();
  const following = follower.listen({ take });

  function take({ subject, body }: Fact): void {
    const ended = body === endedToken ? waiting.get(subject) : undefined;
    if (ended === undefined) return;
    waiting.delete(subject);
    for (const onEnd of ended) onEnd();
  }

  return {
    await({ address, tokenId, expiresMs }, onEnd) {
      const subject = subjectOf(address.local, tokenId);
      const all = waiting.get(subject) ?? new Set();
      all.add(onEnd);
      waiting.set(subject, all);
      // It may have ended since it was looked at.
      if (hasEnded(subject)) queueMicrotask(onEnd);
      // Whoever holds a stream for longer than a timer can wait comes back meanwhile.
      const timer =
        expiresMs === undefined
          ? undefined
          : setTimeout(onEnd, Math.min(Math.max(expiresMs - now(), 0), timerMsMax));
      return {
        [Symbol.dispose]() {
          clearTimeout(timer);
          all.delete(onEnd);
          if (all.size === 0 && waiting.get(subject) === all) waiting.delete(subject);
        },
      };
    },
    [Symbol.dispose]: () => following[Symbol.dispose](),
  };
}
