// Accounts: registration, tokens, and who a token stands for. The folder's public file.
// In: handles, passwords, tokens. Out: principals. Never: a secret in clear at rest; tokens are kept as SHA-256, passwords as scrypt.
import { type Address, emailOf, makeAddress } from "../core/address.ts";
import { type NodeKind, type Principal, requireScope } from "../core/principal.ts";
import type { Follower } from "../store/follower.ts";
import type { Heads } from "../store/heads.ts";
import type { Log } from "../store/log.ts";
import { escapeToken } from "../store/subjects.ts";
import { type Credentials, openCredentials } from "./credentials.ts";
import { openEmails } from "./emails.ts";
import { type Invitations, openInvitations } from "./invitations.ts";
import { type AccountFact, accountOf, openRecords } from "./records.ts";
import { openRegistration, type Registration, type RegistrationMode } from "./registration.ts";
import { openTokenEndings } from "./token-endings.ts";
import { openTokens } from "./tokens.ts";

export interface Accounts extends Registration, Credentials, Disposable {
  readonly invitations: Pick<Invitations, "create" | "list" | "remove">;
  /** Calls back once when the principal's token ends. */
  awaitEnd(who: Principal, onEnd: () => void): Disposable;
  /** Who registered with this e-mail address. */
  whoHas(email: string): Promise<Address | undefined>;
  /** Ends the account, its tokens and everything it held. */
  remove(who: Principal): Promise<void>;
}

/** What accounts need of nodes. */
export interface AccountNodes {
  create(address: Address, kind: NodeKind): Promise<unknown>;
  remove(address: Address): Promise<void>;
}

export interface AccountDeps {
  readonly domain: string;
  readonly registration: RegistrationMode;
  /** A log of its own, which no feed carries to watchers. */
  readonly log: Log;
  readonly heads: Heads;
  readonly follower: Follower;
  readonly nodes: AccountNodes;
  readonly now: () => number;
  /** Somebody registered with this e-mail address, here or at another broker. */
  readonly onEmail: (email: string, address: Address) => void;
}

export function openAccounts(deps: AccountDeps): Accounts {
  const { domain, registration: mode, log, heads, follower, nodes, now, onEmail } = deps;
  const prefix = `a.${escapeToken(domain)}`;
  const records = openRecords({ prefix, heads });
  const tokens = openTokens({ prefix, log, heads, now });
  const emails = openEmails({
    prefix,
    heads,
    follower,
    onRegistered: (email, local) => onEmail(email, makeAddress(local, domain)),
  });
  const invitations = openInvitations({ prefix, log, heads, now });
  const registration = openRegistration({
    domain,
    mode,
    heads,
    records,
    tokens,
    emails,
    invitations,
    nodes,
    now,
  });
  const credentials = openCredentials({ domain, prefix, log, heads, records, tokens, now });
  const endings = openTokenEndings({ follower, isGood: credentials.isGood, now });

  async function remove(who: Principal): Promise<void> {
    requireScope(who, "account");
    const local = who.address.local;
    const account = await heads.refresh(records.subjectOf(local));
    if (account === undefined) return;
    const ended: AccountFact = {
      createdMs: accountOf(account).createdMs,
      kind: "person",
      ended: true,
    };
    const append = { subject: account.subject, body: JSON.stringify(ended), expected: account.position };
    const email = emailOf(accountOf(account).email ?? "");
    const released = email && (await emails.release(email, local));
    await heads.append(released ? [append, released] : [append]);
    await tokens.end(await tokens.list(local));
    await nodes.remove(who.address);
  }

  return {
    ...registration,
    ...credentials,
    invitations,
    remove,
    awaitEnd: endings.await,
    async whoHas(email) {
      const local = await emails.find(email);
      return local === undefined ? undefined : makeAddress(local, domain);
    },
    [Symbol.dispose]() {
      endings[Symbol.dispose]();
      emails[Symbol.dispose]();
    },
  };
}
