// Accounts: registration, tokens, and who a token stands for. The folder's public file.
// In: handles, passwords, tokens. Out: principals. Never: a secret in clear at rest; tokens are kept as SHA-256, passwords as scrypt.
import { type Address, makeAddress } from "../core/address.ts";
import type { NodeKind, Principal } from "../core/principal.ts";
import type { Follower } from "../store/follower.ts";
import type { Heads } from "../store/heads.ts";
import type { Log } from "../store/log.ts";
import { escapeToken } from "../store/subjects.ts";
import { type Credentials, openCredentials } from "./credentials.ts";
import { openEmails } from "./emails.ts";
import { type Invitations, openInvitations } from "./invitations.ts";
import { openRecords } from "./records.ts";
import { openRegistration, type Registration, type RegistrationMode } from "./registration.ts";
import { openRemoval, type Removal } from "./removal.ts";
import { openTokenEndings } from "./token-endings.ts";
import { openTokens } from "./tokens.ts";

export interface Accounts extends Registration, Credentials, Removal {
  readonly invitations: Pick<Invitations, "create" | "list" | "remove">;
  /** Calls back once when the principal's token ends. */
  awaitEnd(who: Principal, onEnd: () => void): Disposable;
  /** Who registered with this e-mail address. */
  whoHas(email: string): Promise<Address | undefined>;
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
  readonly onTrouble: (message: string) => void;
}

export function openAccounts(deps: AccountDeps): Accounts {
  const { domain, registration: mode, log, heads, follower, nodes, now, onEmail, onTrouble } = deps;
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

  const removal = openRemoval({
    domain,
    prefix,
    log,
    heads,
    records,
    tokens,
    emails,
    nodes,
    onTrouble,
  });

  return {
    ...registration,
    ...credentials,
    invitations,
    remove: removal.remove,
    awaitEnd: endings.await,
    async whoHas(email) {
      const local = await emails.find(email);
      return local === undefined ? undefined : makeAddress(local, domain);
    },
    [Symbol.dispose]() {
      removal[Symbol.dispose]();
      endings[Symbol.dispose]();
      emails[Symbol.dispose]();
    },
  };
}
