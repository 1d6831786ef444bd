// E-mail addresses: who registered with which, so that a watch on one finds its account.
// In: registrations, the feed. Out: an account for an address, and word of new ones. Never: an address to anybody who does not know it.
import type { Follower } from "../store/follower.ts";
import type { Heads } from "../store/heads.ts";
import type { Append, Fact } from "../store/log.ts";
import { escapeToken, unescapeToken } from "../store/subjects.ts";

export interface Emails extends Disposable {
  /** The handle of the account that an e-mail address belongs to. */
  find(email: string): Promise<string | undefined>;
  /** Makes the address the account's, unless another account has it. */
  claim(email: string, local: string): Promise<Append | undefined>;
  /** Gives the address up with the account. */
  release(email: string, local: string): Promise<Append | undefined>;
}

export interface EmailDeps {
  readonly prefix: string;
  readonly heads: Heads;
  readonly follower: Follower;
  readonly onRegistered: (email: string, local: string) => void;
}

export function openEmails({ prefix, heads, follower, onRegistered }: EmailDeps): Emails {
  const subjectOf = (email: string): string => `${prefix}.email.${escapeToken(email)}`;
  const infix = `${prefix}.email.`;
  const following = follower.listen({ take });

  function take({ subject, body }: Fact): void {
    if (!subject.startsWith(infix)) return;
    const local = localOf(body);
    if (local !== undefined) onRegistered(unescapeToken(subject.slice(infix.length)), local);
  }

  return {
    async find(email) {
      const fact = await heads.refresh(subjectOf(email));
      return fact && localOf(fact.body);
    },
    async claim(email, local) {
      const fact = await heads.refresh(subjectOf(email));
      if (fact && localOf(fact.body) !== undefined) return undefined;
      return { subject: subjectOf(email), body: JSON.stringify({ local }), expected: fact?.position ?? 0 };
    },
    async release(email, local) {
      const fact = await heads.refresh(subjectOf(email));
      if (fact === undefined || localOf(fact.body) !== local) return undefined;
      return { subject: fact.subject, body: "{}", expected: fact.position };
    },
    [Symbol.dispose]: () => following[Symbol.dispose](),
  };
}

function localOf(body: string): string | undefined {
  return (JSON.parse(body) as { local?: string }).local;
}
