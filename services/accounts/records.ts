// Records: what is kept of an account, one fact for each handle.
// In: a handle. Out: its account, and changes on condition that nobody else made one. Never: a handle given to somebody else once its account has ended.
import type { NodeKind } from "../core/principal.ts";
import { oncePerFact } from "../store/decoded.ts";
import type { Heads } from "../store/heads.ts";
import type { Fact } from "../store/log.ts";
import { escapeToken } from "../store/subjects.ts";

export interface AccountFact {
  readonly createdMs: number;
  readonly kind: NodeKind;
  readonly email?: string;
  readonly displayName?: string;
  readonly password?: string;
  /** A handle stays taken after its account ended, so that nobody can take the place of somebody else. */
  readonly ended?: true;
}

export interface Records {
  subjectOf(local: string): string;
  /** The account of a handle, unless it has ended. */
  find(local: string): Promise<AccountFact | undefined>;
}

export function openRecords({ prefix, heads }: { prefix: string; heads: Heads }): Records {
  const subjectOf = (local: string): string => `${prefix}.account.${escapeToken(local)}`;
  return {
    subjectOf,
    async find(local) {
      const fact = await heads.get(subjectOf(local));
      const account = fact && accountOf(fact);
      return account?.ended ? undefined : account;
    },
  };
}

export const accountOf: (fact: Fact) => AccountFact = oncePerFact(
  (fact) => JSON.parse(fact.body) as AccountFact,
);
