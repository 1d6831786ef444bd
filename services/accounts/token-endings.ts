// Endings: who is told when a token ends, by revocation, by its time, with a password or with its account.
// In: the feed, and who wants to know. Out: one call for each. Never: silence while an ended token is in use.
import type { Principal } from "../core/principal.ts";
import type { Follower } from "../store/follower.ts";
import type { Fact } from "../store/log.ts";
import { unescapeToken } from "../store/subjects.ts";
import { endedToken } from "./tokens.ts";

export interface TokenEndings extends Disposable {
  /** Calls back once when the principal's token ends. */
  await(who: Principal, onEnd: () => void): Disposable;
}

export interface TokenEndingDeps {
  readonly follower: Follower;
  /** Whether the token that a principal came with is still good, as far as it is known here. */
  readonly isGood: (who: Principal) => Promise<boolean>;
  readonly now: () => number;
}

interface Waiting {
  readonly who: Principal;
  readonly onEnd: () => void;
}

const retryMs = 500;
const timerMsMax = 2 ** 31 - 1;

export function openTokenEndings({ follower, isGood, now }: TokenEndingDeps): TokenEndings {
  /** By the handle of the account. */
  const waiting = new Map<string, Set<Waiting>>();
  const following = follower.listen({ take });

  function take({ subject, body }: Fact): void {
    const [, , kind, local = "", tokenId] = subject.split(".");
    if (kind !== "account" && (kind !== "token" || body !== endedToken)) return;
    for (const one of waiting.get(unescapeToken(local)) ?? []) {
      if (kind === "account") void check(one);
      else if (one.who.tokenId === tokenId) end(one);
    }
  }

  async function check(one: Waiting): Promise<void> {
    try {
      if (!(await isGood(one.who))) end(one);
    } catch {
      // The store does not say: until it does, what was good stays good, as it would without a question.
      setTimeout(() => {
        if (waiting.get(one.who.address.local)?.has(one)) void check(one);
      }, retryMs).unref();
    }
  }

  function end(one: Waiting): void {
    if (leave(one)) one.onEnd();
  }

  /** @returns whether it was still waiting */
  function leave(one: Waiting): boolean {
    const { local } = one.who.address;
    const all = waiting.get(local);
    const was = all?.delete(one) ?? false;
    if (all?.size === 0) waiting.delete(local);
    return was;
  }

  return {
    await(who, onEnd) {
      const { address, expiresMs } = who;
      const one = { who, onEnd };
      const all = waiting.get(address.local) ?? new Set();
      waiting.set(address.local, all.add(one));
      // It may have ended since it was looked at.
      void check(one);
      // Whoever holds a stream for longer than a timer can wait comes back meanwhile.
      const timer =
        expiresMs === undefined
          ? undefined
          : setTimeout(() => end(one), Math.min(Math.max(expiresMs - now(), 0), timerMsMax));
      return {
        [Symbol.dispose]() {
          clearTimeout(timer);
          leave(one);
        },
      };
    },
    [Symbol.dispose]: () => following[Symbol.dispose](),
  };
}
