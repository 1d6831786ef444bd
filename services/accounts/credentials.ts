// Credentials: what somebody proves to be an account with, and what of it they may give away.
// In: tokens, tickets, passwords. Out: principals, new tokens, ends of tokens. Never: a token that reaches further than the one it was made with.
import { type Address, makeAddress } from "../core/address.ts";
import { timestamp } from "../core/event.ts";
import { allows, type Principal, parseScopes, requireScope, rights } from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import type { Soon } from "../core/soon.ts";
import type { Heads } from "../store/heads.ts";
import type { Log } from "../store/log.ts";
import { passwordFits } from "./password.ts";
import type { Records } from "./records.ts";
import { openSignedIn } from "./signed-in.ts";
import { openTickets } from "./tickets.ts";
import type { IssuedToken, TokenShape, Tokens, TokenWish } from "./tokens.ts";

export interface Credentials {
  /** @throws Refusal `unauthenticated` */
  principalOf(token: string): Soon<Principal>;
  /** @throws Refusal `unauthenticated` when address and password do not belong together */
  signIn(address: Address, password: string, wish: TokenWish): Promise<IssuedToken>;
  issue(who: Principal, wish: TokenWish): Promise<IssuedToken>;
  list(who: Principal): Promise<readonly TokenShape[]>;
  revoke(who: Principal, tokenId: string): Promise<void>;
  /** One way into a stream, for a browser. */
  ticket(who: Principal): Promise<{ ticket: string; expires: string }>;
  /** Who comes by this ticket, which is good for nobody else from now on. @throws Refusal `unauthenticated` */
  principalOfTicket(ticket: string): Promise<Principal>;
}

export interface CredentialDeps {
  readonly domain: string;
  /** What the subjects of this domain begin with. */
  readonly prefix: string;
  readonly log: Log;
  readonly heads: Heads;
  readonly records: Records;
  readonly tokens: Tokens;
  readonly now: () => number;
}

const tokensMax = 1_000;

export function openCredentials(deps: CredentialDeps): Credentials {
  const { domain, prefix, log, heads, records, tokens, now } = deps;
  const signedIn = openSignedIn(heads, now);
  const tickets = openTickets({ prefix, log, now });

  async function lookUp(token: string): Promise<Principal> {
    const found = await tokens.find(token);
    const account = found && (await records.find(found.local));
    if (found === undefined || account === undefined) throw unknown();
    const { local, id, scopes, expiresMs, fact } = found;
    const address = makeAddress(local, domain);
    const principal = { address, kind: account.kind, scopes, tokenId: id, expiresMs };
    signedIn.keep(token, principal, expiresMs, [fact, heads.peek(records.subjectOf(local))]);
    return principal;
  }

  async function principalOfTicket(ticket: string): Promise<Principal> {
    const redeemed = await tickets.redeem(ticket);
    const token = redeemed && (await tokens.get(redeemed.local, redeemed.tokenId));
    const account = redeemed && (await records.find(redeemed.local));
    if (!redeemed || token === undefined || account === undefined) {
      throw new Refusal("unauthenticated", "The ticket is not known here, used or too old.");
    }
    const { local, tokenId } = redeemed;
    const { scopes, expiresMs } = token;
    return { address: makeAddress(local, domain), kind: account.kind, scopes, tokenId, expiresMs };
  }

  async function signIn(address: Address, password: string, wish: TokenWish): Promise<IssuedToken> {
    const local = address.domain === domain && address.path.length === 0 ? address.local : "";
    const account = await records.find(local);
    const fits = await passwordFits(password, account?.password);
    if (!fits) throw new Refusal("unauthenticated", "Address and password do not belong together.");
    return await addToken(local, wish, rights);
  }

  async function issue(who: Principal, wish: TokenWish): Promise<IssuedToken> {
    requireScope(who, "account");
    return await addToken(who.address.local, wish, who.scopes);
  }

  async function addToken(local: string, wish: TokenWish, held: readonly string[]): Promise<IssuedToken> {
    const scopes = parseScopes(wish.scopes ?? held);
    const beyond = scopes.find((scope) => !covers(held, scope));
    if (beyond !== undefined)
      throw new Refusal("scope-missing", `The token in use lacks the scope ${beyond}, so it cannot give it.`);
    if ((await tokens.list(local)).length >= tokensMax) {
      throw new Refusal("rate-limited", `An account holds at most ${tokensMax} tokens; revoke some.`);
    }
    const { issued, append } = tokens.create(local, { ...wish, scopes });
    await heads.append([append]);
    return issued;
  }

  return {
    signIn,
    issue,
    ticket: tickets.issue,
    principalOfTicket,
    principalOf: (token) => signedIn.get(token) ?? lookUp(token),
    async revoke(who, tokenId) {
      if (tokenId !== who.tokenId) requireScope(who, "account");
      const found = (await tokens.list(who.address.local)).find(({ id }) => id === tokenId);
      if (found === undefined) throw new Refusal("not-found", "You have no such token.");
      await tokens.end([found]);
    },
    async list(who) {
      return (await tokens.list(who.address.local)).map(({ id, token }) => ({
        id,
        ...(token.name !== undefined && { name: token.name }),
        scopes: token.scopes,
        created: timestamp(token.createdMs),
        ...(token.expiresMs !== undefined && { expires: timestamp(token.expiresMs) }),
      }));
    },
  };
}

/** Whether scopes that are held include this one: the same right, as wide or wider. */
function covers(held: readonly string[], scope: string): boolean {
  const [right, pattern] = scope.split(":");
  if (held.includes(scope) || held.includes(right as string)) return true;
  const name = pattern?.replace(/\.\*$/, ".x");
  return name !== undefined && name !== "*" && allows(held, right as (typeof rights)[number], name);
}

function unknown(): Refusal {
  return new Refusal("unauthenticated", "The token is not known here, or no longer good.");
}
