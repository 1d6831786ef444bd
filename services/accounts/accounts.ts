// Accounts: registration, tokens, and who a token stands for. The folder's public file.
// In: handles, passwords, tokens. Out: principals. Never: a secret in clear at rest; tokens are kept as SHA-256, passwords as scrypt.
import { randomInt } from "node:crypto";
import { type Address, emailOf, makeAddress, parseHandle } from "../core/address.ts";
import { timestamp } from "../core/event.ts";
import {
  allows,
  type NodeKind,
  type Principal,
  parseScopes,
  requireScope,
  rights,
} from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import type { Soon } from "../core/soon.ts";
import { oncePerFact } from "../store/decoded.ts";
import type { Follower } from "../store/follower.ts";
import type { Heads } from "../store/heads.ts";
import { Conflict, type Log } from "../store/log.ts";
import { escapeToken } from "../store/subjects.ts";
import { openEmails } from "./emails.ts";
import { hashPassword, passwordFits } from "./password.ts";
import { openSignedIn } from "./signed-in.ts";
import { openTickets } from "./tickets.ts";
import { endedToken, openTokenEndings } from "./token-endings.ts";
import { type IssuedToken, openTokens, type TokenShape, type TokenWish } from "./tokens.ts";

export type RegistrationMode = "open" | "invite" | "closed";

export interface Registration {
  readonly handle?: string | undefined;
  readonly email?: string | undefined;
  readonly password?: string | undefined;
  readonly displayName?: string | undefined;
}

export interface Accounts extends Disposable {
  register(wish: Registration): Promise<{ address: string; token: string }>;
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

interface AccountFact {
  readonly createdMs: number;
  readonly kind: NodeKind;
  readonly email?: string;
  readonly displayName?: string;
  readonly password?: string;
  /** A handle stays taken after its account ended, so that nobody can take the place of somebody else. */
  readonly ended?: true;
}

const tokensMax = 1_000;
const numberTries = 20;

const decodeAccount = oncePerFact((fact) => JSON.parse(fact.body) as AccountFact);

export function openAccounts(deps: AccountDeps): Accounts {
  const { domain, registration, log, heads, follower, nodes, now, onEmail } = deps;
  const prefix = `a.${escapeToken(domain)}`;
  const accountSubject = (local: string): string => `${prefix}.account.${escapeToken(local)}`;
  const tokens = openTokens({ prefix, log, heads, now });
  const signedIn = openSignedIn(heads, now);
  const tickets = openTickets({ prefix, log, now });
  const endings = openTokenEndings(
    follower,
    tokens.subjectOf,
    (subject) => heads.peek(subject)?.body === endedToken,
    now,
  );
  const emails = openEmails({
    prefix,
    heads,
    follower,
    onRegistered: (email, local) => onEmail(email, makeAddress(local, domain)),
  });

  async function register(wish: Registration): Promise<{ address: string; token: string }> {
    if (registration !== "open") {
      const how =
        registration === "invite" ? "An invitation is needed here." : "Registration is closed here.";
      throw new Refusal("registration-closed", how);
    }
    const password = wish.password === undefined ? {} : { password: await hashPassword(wish.password) };
    const account: AccountFact = {
      createdMs: Math.floor(now()),
      kind: "person",
      ...(wish.email !== undefined && { email: wish.email }),
      ...(wish.displayName !== undefined && { displayName: wish.displayName }),
      ...password,
    };
    if (wish.handle !== undefined) return await claim(parseHandle(wish.handle), account);
    for (let tries = 1; ; tries++) {
      try {
        return await claim(String(randomInt(100_000_000, 1_000_000_000)), account);
      } catch (error) {
        if (!(error instanceof Refusal) || error.code !== "handle-taken" || tries === numberTries)
          throw error;
      }
    }
  }

  async function claim(local: string, account: AccountFact): Promise<{ address: string; token: string }> {
    const address = makeAddress(local, domain);
    if (await heads.get(accountSubject(local))) throw taken(local);
    // The node comes first: an account whose node is missing could not be used, a node without an account shows nothing.
    await nodes.create(address, account.kind);
    const { issued, append } = tokens.create(local, { scopes: rights });
    const subject = accountSubject(local);
    const email = account.email === undefined ? undefined : emailOf(account.email);
    for (;;) {
      const claimed = email && (await emails.claim(email, local));
      try {
        const made = { subject, body: JSON.stringify(account), expected: 0 };
        await heads.append(claimed ? [made, append, claimed] : [made, append]);
        return { address: address.text, token: issued.token };
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
        if (await heads.refresh(subject)) throw taken(local);
        // Somebody else took the e-mail address at the same moment: the handle is still free.
      }
    }
  }

  function principalOf(token: string): Soon<Principal> {
    return signedIn.get(token) ?? lookUp(token);
  }

  async function lookUp(token: string): Promise<Principal> {
    const found = await tokens.find(token);
    const account = found && (await accountOf(found.local));
    if (found === undefined || account === undefined) throw unknown();
    const { local, id, scopes, expiresMs, fact } = found;
    const address = makeAddress(local, domain);
    const principal = { address, kind: account.kind, scopes, tokenId: id, expiresMs };
    signedIn.keep(token, principal, expiresMs, [fact, heads.peek(accountSubject(local))]);
    return principal;
  }

  async function principalOfTicket(ticket: string): Promise<Principal> {
    const redeemed = await tickets.redeem(ticket);
    const token = redeemed && (await tokens.get(redeemed.local, redeemed.tokenId));
    const account = redeemed && (await accountOf(redeemed.local));
    if (!redeemed || token === undefined || account === undefined) {
      throw new Refusal("unauthenticated", "The ticket is not known here, used or too old.");
    }
    const { local, tokenId } = redeemed;
    const { scopes, expiresMs } = token;
    return { address: makeAddress(local, domain), kind: account.kind, scopes, tokenId, expiresMs };
  }

  /** The account of a handle, unless it has ended. */
  async function accountOf(local: string): Promise<AccountFact | undefined> {
    const fact = await heads.get(accountSubject(local));
    const account = fact && decodeAccount(fact);
    return account?.ended ? undefined : account;
  }

  async function signIn(address: Address, password: string, wish: TokenWish): Promise<IssuedToken> {
    const local = address.domain === domain && address.path.length === 0 ? address.local : "";
    const account = await accountOf(local);
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

  async function revoke(who: Principal, tokenId: string): Promise<void> {
    if (tokenId !== who.tokenId) requireScope(who, "account");
    const found = (await tokens.list(who.address.local)).find(({ id }) => id === tokenId);
    if (found === undefined) throw new Refusal("not-found", "You have no such token.");
    await tokens.end([found]);
  }

  async function remove(who: Principal): Promise<void> {
    requireScope(who, "account");
    const local = who.address.local;
    const account = await heads.refresh(accountSubject(local));
    if (account === undefined) return;
    const ended: AccountFact = {
      createdMs: decodeAccount(account).createdMs,
      kind: "person",
      ended: true,
    };
    const append = { subject: account.subject, body: JSON.stringify(ended), expected: account.position };
    const email = emailOf(decodeAccount(account).email ?? "");
    const released = email && (await emails.release(email, local));
    await heads.append(released ? [append, released] : [append]);
    await tokens.end(await tokens.list(local));
    await nodes.remove(who.address);
  }

  return {
    register,
    principalOf,
    signIn,
    issue,
    revoke,
    remove,
    ticket: tickets.issue,
    principalOfTicket,
    awaitEnd: endings.await,
    async whoHas(email) {
      const local = await emails.find(email);
      return local === undefined ? undefined : makeAddress(local, domain);
    },
    [Symbol.dispose]() {
      endings[Symbol.dispose]();
      emails[Symbol.dispose]();
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

function taken(local: string): Refusal {
  return new Refusal("handle-taken", `The handle ${local} is taken.`);
}

function unknown(): Refusal {
  return new Refusal("unauthenticated", "The token is not known here, or no longer good.");
}
