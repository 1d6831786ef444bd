// Work: what goes on by itself, divided over the brokers that live. The folder's public file.
// In: the log of work, kinds of work. Out: each item worked on by one broker, moved within 15 s of that broker's end. Never: work by a broker that others have taken for dead.
import { follow } from "../store/follower.ts";
import type { Log } from "../store/log.ts";
import { escapeToken } from "../store/subjects.ts";
import { aloneBroker, type BeatTimes, openBrokers } from "./brokers.ts";
import type { Division, Working } from "./claim.ts";
import { type Claims, openClaims } from "./claims.ts";

export type { BeatTimes } from "./brokers.ts";
export type { Claim, Division, Working } from "./claim.ts";
export { openSaving } from "./saving.ts";

export interface Work extends AsyncDisposable {
  /** Items of a kind, of which each broker knows all. */
  divide(kind: string, working: Working): Division;
}

export interface WorkDeps {
  readonly domain: string;
  readonly log: Log;
  /** Nobody else can be on the same store. */
  readonly isAlone: boolean;
  readonly onTrouble: (message: string) => void;
  /** Others than usual, for tests. */
  readonly times?: BeatTimes | undefined;
}

export async function openWork({ domain, log, isAlone, onTrouble, times }: WorkDeps): Promise<Work> {
  const follower = follow(log, await log.end());
  const divisions = new Set<Claims>();
  const onChange = (): void => {
    for (const division of divisions) division.look();
  };
  const brokers = isAlone
    ? aloneBroker()
    : await openBrokers({ domain, log, follower, onChange, onTrouble, times });

  return {
    divide(kind, working) {
      const prefix = `w.${escapeToken(domain)}.${kind}-claim`;
      const claims = openClaims({ prefix, log, follower, brokers, working, onTrouble });
      divisions.add(claims);
      return claims;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([...divisions].map((one) => one[Symbol.asyncDispose]()));
      await brokers[Symbol.asyncDispose]();
      await follower[Symbol.asyncDispose]();
    },
  };
}
