// Records: what is kept of an account, one fact for each handle.
// In: a handle. Out: its account, and changes on condition that nobody else made one. Never: a handle given to somebody else once its account has ended.
import type { NodeKind } from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import { oncePerFact } from "../store/decoded.ts";
import type { Heads } from "../store/heads.ts";
import { type Append, Conflict, type Fact, LogUnavailable } from "../store/log.ts";
import { escapeToken } from "../store/subjects.ts";

export interface AccountFact {
  readonly createdMs: number;
  readonly kind: NodeKind;
  readonly email?: string;
  readonly displayName?: string;
  readonly password?: string;
  /** Who it is to the OIDC issuer that it came from. */
  readonly oidc?: { readonly issuer: string; readonly subject: string };
  /** How often all tokens ended at once: those of an older generation are not good any more. */
  readonly generation?: number;
  /** The token that was spared the last time. */
  readonly spared?: string;
  /** A handle stays taken after its account ended, so that nobody can take the place of somebody else. */
  readonly ended?: true;
}

export interface Records {
  subjectOf(local: string): string;
  /** The account of a handle, unless it has ended. */
  find(local: string): Promise<AccountFact | undefined>;
  /** Puts another account in its place; asked again what it is to be when somebody else was faster. @throws Refusal `unauthenticated` when it has ended */
  change(local: string, next: (account: AccountFact) => Promise<Change>): Promise<void>;
}

export interface Change {
  readonly account: AccountFact;
  /** What is appended together with it. */
  readonly also?: readonly Append[];
}

const roundsMax = 20;

export function openRecords({ prefix, heads }: { prefix: string; heads: Heads }): Records {
  const subjectOf = (local: string): string => `${prefix}.account.${escapeToken(local)}`;

  async function change(local: string, next: (account: AccountFact) => Promise<Change>): Promise<void> {
    for (let round = 0; round < roundsMax; round++) {
      const fact = await heads.refresh(subjectOf(local));
      const account = fact && accountOf(fact);
      if (fact === undefined || account === undefined || account.ended) {
        throw new Refusal("unauthenticated", "The account has ended.");
      }
      const { account: changed, also = [] } = await next(account);
      const { subject, position: expected } = fact;
      try {
        await heads.append([{ subject, body: JSON.stringify(changed), expected }, ...also]);
        return;
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
      }
    }
    throw new LogUnavailable("others kept changing the same account");
  }

  return {
    subjectOf,
    change,
    async find(local) {
      const fact = await heads.get(subjectOf(local));
      const account = fact && accountOf(fact);
      return account?.ended ? undefined : account;
    },
  };
}

const accountOf: (fact: Fact) => AccountFact = oncePerFact((fact) => JSON.parse(fact.body) as AccountFact);

/** Whether a token of this id and generation is still one of the account's. */
export function hasToken(account: AccountFact, id: string, generation = 0): boolean {
  return generation === (account.generation ?? 0) || id === account.spared;
}
