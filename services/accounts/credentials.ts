// Credentials: what somebody proves to be an account with, and what of it they may give away.
// In: tokens, tickets, passwords. Out: principals, new tokens, ends of tokens. Never: a token that reaches further than the one it was made with.
import { hash } from "node:crypto";
import { type Address, makeAddress } from "../core/address.ts";
import { timestamp } from "../core/event.ts";
import { allows, type Principal, parseScopes, requireScope, rights } from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import type { Soon } from "../core/soon.ts";
import type { Heads } from "../store/heads.ts";
import type { Log } from "../store/log.ts";
import type { Audit } from "./audit.ts";
import type { IssuerAccounts } from "./issuer-accounts.ts";
import { type Bearer, isJwt } from "./issuer-tokens.ts";
import { hashPassword, passwordFits } from "./password.ts";
import { type AccountFact, hasToken, type Records } from "./records.ts";
import { openSignedIn } from "./signed-in.ts";
import { openTickets } from "./tickets.ts";
import type { IssuedToken, KeptToken, TokenShape, Tokens, TokenWish } from "./tokens.ts";

export interface Credentials {
  /** @throws Refusal `unauthenticated` */
  principalOf(token: string): Soon<Principal>;
  /** @throws Refusal `unauthenticated` when address and password do not belong together */
  signIn(address: Address, password: string, wish: TokenWish): Promise<IssuedToken>;
  issue(who: Principal, wish: TokenWish): Promise<IssuedToken>;
  list(who: Principal): Promise<readonly TokenShape[]>;
  revoke(who: Principal, tokenId: string): Promise<void>;
  /** Sets a password, and ends all other tokens unless they are to be kept. @throws Refusal `wrong-password` */
  changePassword(who: Principal, wish: PasswordWish): Promise<void>;
  /** One way into a stream, for a browser. */
  ticket(who: Principal): Promise<{ ticket: string; expires: string }>;
  /** Who comes by this ticket, which is good for nobody else from now on. @throws Refusal `unauthenticated` */
  principalOfTicket(ticket: string): Promise<Principal>;
  /** Whether the token that a principal came with is still good. */
  isGood(who: Principal): Promise<boolean>;
}

export interface PasswordWish {
  /** The one that is set, if one is. */
  readonly current?: string | undefined;
  readonly password: string;
  readonly keepTokens?: boolean | undefined;
}

export interface CredentialDeps {
  readonly domain: string;
  /** What the subjects of this domain begin with. */
  readonly prefix: string;
  readonly log: Log;
  readonly heads: Heads;
  readonly records: Records;
  readonly tokens: Tokens;
  /** Who gives tokens besides this broker. */
  readonly issuer: Issuer | undefined;
  readonly audit: Pick<Audit, "record">;
  readonly now: () => number;
}

export interface Issuer {
  readonly read: (token: string) => Promise<Bearer>;
  readonly accountOf: IssuerAccounts;
}

const tokensMax = 1_000;
/** What the ids of others' tokens begin with; those of our own have no dot. */
const elsewhere = "oidc.";
/** How long an issuer's token is good without another look at its signature. */
const recheckMs = 60_000;

export function openCredentials(deps: CredentialDeps): Credentials {
  const { domain, prefix, log, heads, records, tokens, issuer, audit, now } = deps;
  const signedIn = openSignedIn(heads, now);
  const tickets = openTickets({ prefix, log, now });

  async function lookUp(token: string): Promise<Principal> {
    if (issuer && isJwt(token)) return await lookUpIssued(token, issuer);
    const found = await tokens.find(token);
    const account = found && (await records.find(found.local));
    if (found === undefined || account === undefined || !hasToken(account, found.id, found.generation)) {
      throw new Refusal("unauthenticated", "The token is not known here, or no longer good.");
    }
    const { local, id, scopes, expiresMs, fact } = found;
    const address = makeAddress(local, domain);
    const principal = { address, kind: account.kind, scopes, tokenId: id, expiresMs };
    signedIn.keep(token, principal, expiresMs, [fact, heads.peek(records.subjectOf(local))]);
    return principal;
  }

  async function lookUpIssued(token: string, { read, accountOf }: Issuer): Promise<Principal> {
    const { subject, handle, scopes, expiresMs } = await read(token);
    const local = await accountOf(subject, handle);
    const account = await records.find(local);
    if (account === undefined) throw new Refusal("unauthenticated", "The account of this subject has ended.");
    const tokenId = `${elsewhere}${hash("sha256", token, "base64url").slice(0, 16)}`;
    const principal = { address: makeAddress(local, domain), kind: account.kind, scopes, tokenId, expiresMs };
    const rests = [heads.peek(records.subjectOf(local))];
    signedIn.keep(token, principal, Math.min(expiresMs, now() + recheckMs), rests);
    return principal;
  }

  async function principalOfTicket(ticket: string): Promise<Principal> {
    const redeemed = await tickets.redeem(ticket);
    const account = redeemed && (await standing(redeemed.local, redeemed.tokenId));
    if (!redeemed || account === undefined) {
      throw new Refusal("unauthenticated", "The ticket is not known here, used or too old.");
    }
    const { local, ...token } = redeemed;
    return { address: makeAddress(local, domain), kind: account.kind, ...token };
  }

  /** The account that a token is of, if both are good. */
  async function standing(local: string, id: string): Promise<AccountFact | undefined> {
    const account = await records.find(local);
    // Of others' tokens only they know; these end by their time.
    if (account === undefined || id.startsWith(elsewhere)) return account;
    const token = await tokens.get(local, id);
    return token && hasToken(account, id, token.generation) ? account : undefined;
  }

  async function signIn(address: Address, password: string, wish: TokenWish): Promise<IssuedToken> {
    const local = address.domain === domain && address.path.length === 0 ? address.local : "";
    const account = await records.find(local);
    const fits = await passwordFits(password, account?.password);
    // What was typed for an address may be anything, also a password.
    if (!fits) audit.record("sign-in.failed", { account: account && address.text });
    if (!fits) throw new Refusal("unauthenticated", "Address and password do not belong together.");
    return await addToken(local, wish, rights, account?.generation);
  }

  async function issue(who: Principal, wish: TokenWish): Promise<IssuedToken> {
    requireScope(who, "account");
    const account = await standing(who.address.local, who.tokenId);
    if (account === undefined) throw new Refusal("unauthenticated", "The token has ended meanwhile.");
    return await addToken(who.address.local, wish, who.scopes, account.generation);
  }

  /** @param generation of the account when the proof was looked at: if all tokens end meanwhile, so has this one */
  async function addToken(
    local: string,
    wish: TokenWish,
    held: readonly string[],
    generation: number | undefined,
  ): Promise<IssuedToken> {
    const scopes = parseScopes(wish.scopes ?? held);
    const beyond = scopes.find((scope) => !covers(held, scope));
    if (beyond !== undefined)
      throw new Refusal("scope-missing", `The token in use lacks the scope ${beyond}, so it cannot give it.`);
    if ((await listGood(local)).length >= tokensMax) {
      throw new Refusal("rate-limited", `An account holds at most ${tokensMax} tokens; revoke some.`);
    }
    const { issued, append } = tokens.create(local, { ...wish, scopes }, generation);
    await heads.append([append]);
    audit.record("token.issued", { account: makeAddress(local, domain).text, token: issued.id });
    return issued;
  }

  async function listGood(local: string): Promise<readonly KeptToken[]> {
    const all = await tokens.list(local);
    const account = await records.find(local);
    return account ? all.filter(({ id, token }) => hasToken(account, id, token.generation)) : [];
  }

  async function changePassword(who: Principal, wish: PasswordWish): Promise<void> {
    requireScope(who, "account");
    const { address, tokenId } = who;
    const { current, keepTokens = false } = wish;
    const password = await hashPassword(wish.password);
    await records.change(address.local, async (account) => {
      if (account.oidc)
        throw new Refusal("forbidden", "The account proves itself to its issuer; it has no password here.");
      if (account.password !== undefined) await requirePassword(current, account.password);
      if (keepTokens) return { account: { ...account, password } };
      // By this one fact all other tokens are ended; their own facts only have to follow.
      const generation = (account.generation ?? 0) + 1;
      return { account: { ...account, password, generation, spared: tokenId } };
    });
    audit.record("password.changed", { account: address.text });
    if (keepTokens) return;
    await tokens.end((await tokens.list(address.local)).filter(({ id }) => id !== tokenId));
  }

  return {
    signIn,
    issue,
    changePassword,
    isGood: async ({ address, tokenId }) => (await standing(address.local, tokenId)) !== undefined,
    ticket: tickets.issue,
    principalOfTicket,
    principalOf: (token) => signedIn.get(token) ?? lookUp(token),
    async revoke(who, tokenId) {
      if (tokenId !== who.tokenId) requireScope(who, "account");
      const found = (await listGood(who.address.local)).find(({ id }) => id === tokenId);
      if (found === undefined) throw new Refusal("not-found", "You have no such token.");
      await tokens.end([found]);
      audit.record("token.revoked", { account: who.address.text, token: tokenId });
    },
    async list(who) {
      return (await listGood(who.address.local)).map(({ id, token }) => ({
        id,
        ...(token.name !== undefined && { name: token.name }),
        scopes: token.scopes,
        created: timestamp(token.createdMs),
        ...(token.expiresMs !== undefined && { expires: timestamp(token.expiresMs) }),
      }));
    },
  };
}

async function requirePassword(given: string | undefined, set: string): Promise<void> {
  if (given === undefined)
    throw new Refusal("wrong-password", "The account has a password: send it as `current`.");
  if (!(await passwordFits(given, set)))
    throw new Refusal("wrong-password", "`current` is not the password that is set.");
}

/** Whether scopes that are held include this one: the same right, as wide or wider. */
function covers(held: readonly string[], scope: string): boolean {
  const [right, pattern] = scope.split(":");
  if (held.includes(scope) || held.includes(right as string)) return true;
  const name = pattern?.replace(/\.\*$/, ".x");
  return name !== undefined && name !== "*" && allows(held, right as (typeof rights)[number], name);
}
