// Accounts: registration, tokens, and who a token stands for. The folder's public file.
// In: handles, passwords, tokens. Out: principals. Never: a secret in clear at rest; tokens are kept as SHA-256, passwords as scrypt.
import { type Address, emailOf, makeAddress } from "../core/address.ts";
import { allows, type NodeKind, type Principal } from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import type { Follower } from "../store/follower.ts";
import type { Heads } from "../store/heads.ts";
import type { Log } from "../store/log.ts";
import { escapeToken } from "../store/subjects.ts";
import { type Audit, openAudit } from "./audit.ts";
import { type Confirmation, openConfirmation } from "./confirmation.ts";
import { type Credentials, openCredentials } from "./credentials.ts";
import { openEmails } from "./emails.ts";
import { type HookSecrets, openHookSecrets } from "./hook-secrets.ts";
import { type Invitations, openInvitations } from "./invitations.ts";
import { openIssuerAccounts } from "./issuer-accounts.ts";
import { type OidcSettings, openIssuerTokens } from "./issuer-tokens.ts";
import { type MailSettings, openMail } from "./mail.ts";
import { openRecords } from "./records.ts";
import { openRegistration, type Registration, type RegistrationMode } from "./registration.ts";
import { openRemoval, type Removal } from "./removal.ts";
import { openTokenEndings } from "./token-endings.ts";
import { openTokens } from "./tokens.ts";

export type { HookSecrets } from "./hook-secrets.ts";

export interface Accounts extends Registration, Credentials, Confirmation, Removal {
  readonly invitations: Pick<Invitations, "create" | "list" | "remove">;
  /** What webhooks of accounts are signed with. */
  readonly hookSecrets: HookSecrets;
  /** For the operator. */
  readonly audit: Audit;
  /** Calls back once when the principal's token ends. */
  awaitEnd(who: Principal, onEnd: () => void): Disposable;
  /** What the account's owner is told of it. */
  profile(who: Principal): Promise<{ email?: string; emailConfirmed?: boolean }>;
  /** How the account behind an address was verified, for those whom it discloses something to. @throws Refusal `not-found` */
  verification(address: Address): Promise<Verification>;
  /** Who registered with this e-mail address, and confirmed it where that is asked for. */
  whoHas(email: string): Promise<Address | undefined>;
}

export interface Verification {
  readonly by: "local-account" | "oidc";
  /** Absent where the account has no e-mail address. */
  readonly email?: "confirmed" | "unconfirmed";
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
  /** Absent: no e-mail address is ever confirmed, and none has to be. */
  readonly smtp?: MailSettings | undefined;
  /** Absent: only this broker's own tokens are good. */
  readonly oidc?: OidcSettings | undefined;
  readonly onTrouble: (message: string) => void;
}

export function openAccounts(deps: AccountDeps): Accounts {
  const {
    domain,
    registration: mode,
    log,
    heads,
    follower,
    nodes,
    now,
    onEmail,
    smtp,
    oidc,
    onTrouble,
  } = deps;
  const prefix = `a.${escapeToken(domain)}`;
  const audit = openAudit({ prefix, log, follower, now, onTrouble });
  const records = openRecords({ prefix, heads });
  const tokens = openTokens({ prefix, log, heads, now });
  const emails = openEmails({
    prefix,
    heads,
    follower,
    confirmedOnly: smtp !== undefined,
    onRegistered: (email, local) => onEmail(email, makeAddress(local, domain)),
  });
  const mail = smtp && openMail(smtp, { now, onTrouble });
  const confirmation = openConfirmation({ prefix, heads, records, emails, mail, now });
  const invitations = openInvitations({ prefix, log, heads, audit, now });
  const registration = openRegistration({
    domain,
    mode,
    heads,
    records,
    tokens,
    emails,
    invitations,
    nodes,
    audit,
    now,
    onRegistered: (address) => {
      confirmation
        .welcome(address)
        .catch((error: Error) => onTrouble(`a code could not be made: ${error.message}`));
    },
  });
  const issuer = oidc && {
    read: openIssuerTokens(oidc, { now, onTrouble }),
    accountOf: openIssuerAccounts({ prefix, issuer: oidc.issuer, heads, registration, audit, domain, now }),
  };
  const credentials = openCredentials({ domain, prefix, log, heads, records, tokens, issuer, audit, now });
  const endings = openTokenEndings({ follower, isGood: credentials.isGood, now });

  const hookSecrets = openHookSecrets({ prefix, log, heads, now });
  const removal = openRemoval({
    domain,
    prefix,
    log,
    heads,
    records,
    tokens,
    emails,
    confirmation,
    hookSecrets,
    nodes,
    audit,
    onTrouble,
  });

  async function emailOfAccount(local: string): Promise<{ email?: string; isConfirmed: boolean }> {
    const { email } = (await records.find(local)) ?? {};
    const plain = emailOf(email ?? "");
    const isConfirmed = plain !== undefined && (await emails.isConfirmed(plain, local));
    return email === undefined ? { isConfirmed } : { email, isConfirmed };
  }

  return {
    register: registration.register,
    ...credentials,
    invitations,
    hookSecrets,
    audit,
    setEmail: confirmation.setEmail,
    sendCode: confirmation.sendCode,
    confirm: confirmation.confirm,
    remove: removal.remove,
    awaitEnd: endings.await,
    async profile({ address, scopes }) {
      // Whoever was given a token for something else is not told.
      if (!allows(scopes, "account")) return {};
      const { email, isConfirmed } = await emailOfAccount(address.local);
      return email === undefined ? {} : { email, emailConfirmed: isConfirmed };
    },
    async verification({ local, domain: where }) {
      const account = where === domain ? await records.find(local) : undefined;
      if (account === undefined) throw new Refusal("not-found", "There is no such account.");
      const { email, isConfirmed } = await emailOfAccount(local);
      const by = account.oidc ? "oidc" : "local-account";
      return email === undefined ? { by } : { by, email: isConfirmed ? "confirmed" : "unconfirmed" };
    },
    async whoHas(email) {
      const local = await emails.find(email);
      return local === undefined ? undefined : makeAddress(local, domain);
    },
    [Symbol.dispose]() {
      removal[Symbol.dispose]();
      audit[Symbol.dispose]();
      mail?.[Symbol.dispose]();
      endings[Symbol.dispose]();
      emails[Symbol.dispose]();
    },
  };
}
