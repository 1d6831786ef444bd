// Accounts: registration, tokens, and who a token stands for. The folder's public file.
// In: handles, passwords, tokens. Out: principals. Never: a secret in clear at rest; tokens are kept as SHA-256, passwords as scrypt.
import { createHash, randomBytes, randomInt, timingSafeEqual } from "node:crypto";
import { type Address, makeAddress, parseHandle } from "../core/address.ts";
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
import type { Heads } from "../store/heads.ts";
import { type Append, Conflict, type Fact, type Log } from "../store/log.ts";
import { escapeToken } from "../store/subjects.ts";
import { hashPassword, passwordFits } from "./password.ts";

export type RegistrationMode = "open" | "invite" | "closed";

export interface Registration {
  readonly handle?: string | undefined;
  readonly email?: string | undefined;
  readonly password?: string | undefined;
  readonly displayName?: string | undefined;
}

export interface IssuedToken {
  readonly id: string;
  readonly token: string;
  readonly expires?: string;
}

export interface TokenWish {
  readonly name?: string | undefined;
  readonly scopes?: readonly string[] | undefined;
  /** Seconds. */
  readonly expiresIn?: number | undefined;
}

export interface TokenShape {
  readonly id: string;
  readonly name?: string;
  readonly scopes: readonly string[];
  readonly created: string;
  readonly expires?: string;
}

export interface Accounts {
  register(wish: Registration): Promise<{ address: string; token: string }>;
  /** @throws Refusal `unauthenticated` */
  principalOf(token: string): Promise<Principal>;
  /** @throws Refusal `unauthenticated` when address and password do not belong together */
  signIn(address: Address, password: string, wish: TokenWish): Promise<IssuedToken>;
  issue(who: Principal, wish: TokenWish): Promise<IssuedToken>;
  list(who: Principal): Promise<readonly TokenShape[]>;
  revoke(who: Principal, tokenId: string): Promise<void>;
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
  readonly nodes: AccountNodes;
  readonly now: () => number;
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

interface TokenFact {
  /** SHA-256 of the secret, base64url. */
  readonly hash: string;
  readonly scopes: readonly string[];
  readonly createdMs: number;
  readonly name?: string;
  readonly expiresMs?: number;
}

const tokenPattern = /^([A-Za-z0-9_-]{1,90})\.([A-Za-z0-9_-]{16})\.([A-Za-z0-9_-]{32})$/;
const tokensMax = 1_000;
const numberTries = 20;

export function openAccounts(deps: AccountDeps): Accounts {
  const { domain, registration, log, heads, nodes, now } = deps;
  const prefix = `a.${escapeToken(domain)}`;
  const accountSubject = (local: string): string => `${prefix}.account.${escapeToken(local)}`;
  const tokenSubject = (local: string, id: string): string => `${prefix}.token.${escapeToken(local)}.${id}`;

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
    const { token, append } = newToken(local, { scopes: rights });
    try {
      await log.append([
        { subject: accountSubject(local), body: JSON.stringify(account), expected: 0 },
        append,
      ]);
    } catch (error) {
      if (!(error instanceof Conflict)) throw error;
      await heads.refresh(accountSubject(local));
      throw taken(local);
    }
    return { address: address.text, token };
  }

  function newToken(
    local: string,
    wish: TokenWish,
  ): { token: string; id: string; expires?: string; append: Append } {
    const id = randomBytes(12).toString("base64url");
    const secret = randomBytes(24).toString("base64url");
    const nowMs = Math.floor(now());
    const fact: TokenFact = {
      hash: hash(secret),
      scopes: wish.scopes ?? rights,
      createdMs: nowMs,
      ...(wish.name !== undefined && { name: wish.name }),
      ...(wish.expiresIn !== undefined && { expiresMs: nowMs + wish.expiresIn * 1000 }),
    };
    const keep = wish.expiresIn === undefined ? {} : { keepSeconds: Math.ceil(wish.expiresIn) + 1 };
    return {
      id,
      token: `${Buffer.from(local).toString("base64url")}.${id}.${secret}`,
      ...(fact.expiresMs !== undefined && { expires: timestamp(fact.expiresMs) }),
      append: { subject: tokenSubject(local, id), body: JSON.stringify(fact), expected: 0, ...keep },
    };
  }

  async function principalOf(token: string): Promise<Principal> {
    const [, localPart = "", id = "", secret = ""] = tokenPattern.exec(token) ?? [];
    const local = Buffer.from(localPart, "base64url").toString("utf8");
    if (secret === "") throw unknown();
    const [tokenFact, accountFact] = await Promise.all([
      heads.get(tokenSubject(local, id)),
      heads.get(accountSubject(local)),
    ]);
    const account = accountFact && decode<AccountFact>(accountFact);
    const stored = tokenFact && decode<TokenFact>(tokenFact);
    if (account === undefined || account.ended || stored?.hash === undefined) throw unknown();
    if (!same(stored.hash, hash(secret)) || (stored.expiresMs ?? Number.POSITIVE_INFINITY) <= now())
      throw unknown();
    return { address: makeAddress(local, domain), kind: account.kind, scopes: stored.scopes, tokenId: id };
  }

  async function signIn(address: Address, password: string, wish: TokenWish): Promise<IssuedToken> {
    const local = address.domain === domain && address.path.length === 0 ? address.local : "";
    const fact = await heads.get(accountSubject(local));
    const account = fact && decode<AccountFact>(fact);
    const fits = await passwordFits(password, account?.ended ? undefined : account?.password);
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
    if ((await tokensOf(local)).length >= tokensMax) {
      throw new Refusal("rate-limited", `An account holds at most ${tokensMax} tokens; revoke some.`);
    }
    const { id, token, expires, append } = newToken(local, { ...wish, scopes });
    await log.append([append]);
    return expires === undefined ? { id, token } : { id, token, expires };
  }

  async function tokensOf(local: string): Promise<readonly { fact: Fact; id: string; token: TokenFact }[]> {
    const { facts } = await log.snapshot([`${prefix}.token.${escapeToken(local)}.*`]);
    return facts
      .map((fact) => ({ fact, id: fact.subject.split(".").at(-1) ?? "", token: decode<TokenFact>(fact) }))
      .filter(
        ({ token }) => token.hash !== undefined && (token.expiresMs ?? Number.POSITIVE_INFINITY) > now(),
      );
  }

  async function revoke(who: Principal, tokenId: string): Promise<void> {
    if (tokenId !== who.tokenId) requireScope(who, "account");
    const found = (await tokensOf(who.address.local)).find(({ id }) => id === tokenId);
    if (found === undefined) throw new Refusal("not-found", "You have no such token.");
    await end([found.fact]);
  }

  async function remove(who: Principal): Promise<void> {
    requireScope(who, "account");
    const local = who.address.local;
    const account = await heads.refresh(accountSubject(local));
    if (account === undefined) return;
    const ended: AccountFact = {
      createdMs: decode<AccountFact>(account).createdMs,
      kind: "person",
      ended: true,
    };
    const append = { subject: account.subject, body: JSON.stringify(ended), expected: account.position };
    const position = await log.append([append]);
    heads.learn({ ...account, body: append.body, position, groupEnd: position });
    await end((await tokensOf(local)).map(({ fact }) => fact));
    await nodes.remove(who.address);
  }

  /** Tokens leave nothing behind but a mark that soon goes as well. */
  async function end(tokens: readonly Fact[]): Promise<void> {
    for (const fact of tokens) {
      const append = { subject: fact.subject, body: "{}", expected: fact.position, keepSeconds: 3600 };
      const position = await log.append([append]);
      heads.learn({ ...fact, body: "{}", position, groupEnd: position });
    }
  }

  return {
    register,
    principalOf,
    signIn,
    issue,
    revoke,
    remove,
    async list(who) {
      return (await tokensOf(who.address.local)).map(({ id, token }) => ({
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

function decode<T>(fact: Fact): T {
  return JSON.parse(fact.body) as T;
}

function hash(secret: string): string {
  return createHash("sha256").update(secret).digest("base64url");
}

function same(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}

function taken(local: string): Refusal {
  return new Refusal("handle-taken", `The handle ${local} is taken.`);
}

function unknown(): Refusal {
  return new Refusal("unauthenticated", "The token is not known here, or no longer good.");
}
