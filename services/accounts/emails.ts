// E-mail addresses: who registered with which, so that a watch on one finds its account.
// In: registrations, the feed. Out: an account for an address, and word of new ones. Never: an address to anybody who does not know it.
import type { Follower } from "../store/follower.ts";
import type { Heads } from "../store/heads.ts";
import type { Append, Fact } from "../store/log.ts";
import { escapeToken, unescapeToken } from "../store/subjects.ts";

export interface Emails extends Disposable {
  /** The handle of the account that an e-mail address belongs to: where addresses are confirmed, only once it is. */
  find(email: string): Promise<string | undefined>;
  /** Makes the address the account's as long as nobody proves that it is theirs, unless another account has it. */
  claim(email: string, local: string): Promise<Append | undefined>;
  /** Makes the address the account's, whoever had it: the account has shown that it is. */
  confirm(email: string, local: string): Promise<Append>;
  isConfirmed(email: string, local: string): Promise<boolean>;
  /** Gives the address up with the account. */
  release(email: string, local: string): Promise<Append | undefined>;
}

export interface EmailDeps {
  readonly prefix: string;
  readonly heads: Heads;
  readonly follower: Follower;
  /** Whether an address counts only once it is confirmed. */
  readonly confirmedOnly: boolean;
  readonly onRegistered: (email: string, local: string) => void;
}

interface ClaimFact {
  readonly local?: string;
  readonly confirmed?: true;
}

export function openEmails({ prefix, heads, follower, confirmedOnly, onRegistered }: EmailDeps): Emails {
  const subjectOf = (email: string): string => `${prefix}.email.${escapeToken(email)}`;
  const infix = `${prefix}.email.`;
  const following = follower.listen({ take });

  function take({ subject, body }: Fact): void {
    if (!subject.startsWith(infix)) return;
    const local = holderOf(body);
    if (local !== undefined) onRegistered(unescapeToken(subject.slice(infix.length)), local);
  }

  /** Whom the address counts as. */
  function holderOf(body: string): string | undefined {
    const { local, confirmed } = read(body);
    return confirmed || !confirmedOnly ? local : undefined;
  }

  return {
    async find(email) {
      const fact = await heads.refresh(subjectOf(email));
      return fact && holderOf(fact.body);
    },
    async claim(email, local) {
      const fact = await heads.refresh(subjectOf(email));
      if (fact && read(fact.body).local !== undefined) return undefined;
      return { subject: subjectOf(email), body: JSON.stringify({ local }), expected: fact?.position ?? 0 };
    },
    async confirm(email, local) {
      const fact = await heads.refresh(subjectOf(email));
      const body = JSON.stringify({ local, confirmed: true } satisfies ClaimFact);
      return { subject: subjectOf(email), body, expected: fact?.position ?? 0 };
    },
    async isConfirmed(email, local) {
      const fact = await heads.get(subjectOf(email));
      const claim = fact && read(fact.body);
      return claim?.local === local && claim.confirmed === true;
    },
    async release(email, local) {
      const fact = await heads.refresh(subjectOf(email));
      if (fact === undefined || read(fact.body).local !== local) return undefined;
      return { subject: fact.subject, body: "{}", expected: fact.position };
    },
    [Symbol.dispose]: () => following[Symbol.dispose](),
  };
}

function read(body: string): ClaimFact {
  return JSON.parse(body) as ClaimFact;
}
