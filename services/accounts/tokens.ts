// Tokens: made, found and ended. A token is `<account>.<id>.<secret>`; only the secret's SHA-256 is kept.
// In: an account's handle, wishes, secrets. Out: tokens shown once, facts about them. Never: a secret at rest.
import { hash as hashOnce, randomBytes, timingSafeEqual } from "node:crypto";
import { timestamp } from "../core/event.ts";
import { rights } from "../core/principal.ts";
import { oncePerFact } from "../store/decoded.ts";
import type { Heads } from "../store/heads.ts";
import { type Append, Conflict, type Fact, type Log } from "../store/log.ts";
import { escapeToken } from "../store/subjects.ts";

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

export interface TokenFact {
  /** SHA-256 of the secret, base64url. */
  readonly hash: string;
  readonly scopes: readonly string[];
  readonly createdMs: number;
  readonly name?: string;
  readonly expiresMs?: number;
  /** The account's when the token was made (records.ts). */
  readonly generation?: number;
}

/** A token that is still good, as the log holds it. */
export interface KeptToken {
  readonly id: string;
  readonly token: TokenFact;
  readonly fact: Fact;
}

export interface FoundToken {
  readonly local: string;
  readonly id: string;
  readonly scopes: readonly string[];
  readonly expiresMs: number | undefined;
  readonly generation: number | undefined;
  readonly fact: Fact;
}

export interface Tokens {
  /** A new token and the append that makes it count. */
  create(local: string, wish: TokenWish, generation?: number): { issued: IssuedToken; append: Append };
  /** Whose token this is and what it reaches; undefined when it is not good. */
  find(token: string): Promise<FoundToken | undefined>;
  /** The token of this id, if it is good. */
  get(local: string, id: string): Promise<TokenFact | undefined>;
  list(local: string): Promise<readonly KeptToken[]>;
  /** Nothing happens to those that somebody else ended. */
  end(tokens: readonly KeptToken[]): Promise<void>;
}

export interface TokenDeps {
  /** What the subjects of this domain begin with. */
  readonly prefix: string;
  readonly log: Log;
  readonly heads: Heads;
  readonly now: () => number;
}

const tokenPattern = /^([A-Za-z0-9_-]{1,90})\.([A-Za-z0-9_-]{16})\.([A-Za-z0-9_-]{32})$/;
/** What an ended token leaves behind. */
export const endedToken = "{}";
/** A tombstone only has to outlive the other brokers' feeds. */
const endedSeconds = 3600;

export function openTokens({ prefix, log, heads, now }: TokenDeps): Tokens {
  const subjectOf = (local: string, id: string): string => `${prefix}.token.${escapeToken(local)}.${id}`;

  function create(local: string, wish: TokenWish, generation = 0): { issued: IssuedToken; append: Append } {
    const id = randomBytes(12).toString("base64url");
    const secret = randomBytes(24).toString("base64url");
    const nowMs = Math.floor(now());
    const fact: TokenFact = {
      hash: hash(secret),
      scopes: wish.scopes ?? rights,
      createdMs: nowMs,
      ...(wish.name !== undefined && { name: wish.name }),
      ...(wish.expiresIn !== undefined && { expiresMs: nowMs + Math.round(wish.expiresIn * 1000) }),
      ...(generation > 0 && { generation }),
    };
    const keep = wish.expiresIn === undefined ? {} : { keepSeconds: Math.ceil(wish.expiresIn) + 1 };
    const token = `${Buffer.from(local).toString("base64url")}.${id}.${secret}`;
    return {
      issued:
        fact.expiresMs === undefined ? { id, token } : { id, token, expires: timestamp(fact.expiresMs) },
      append: { subject: subjectOf(local, id), body: JSON.stringify(fact), expected: 0, ...keep },
    };
  }

  async function find(token: string): Promise<FoundToken | undefined> {
    const [, localPart = "", id = "", secret = ""] = tokenPattern.exec(token) ?? [];
    if (secret === "") return undefined;
    const local = Buffer.from(localPart, "base64url").toString("utf8");
    const fact = await heads.get(subjectOf(local, id));
    const stored = fact && decodeToken(fact);
    if (fact === undefined || stored === undefined || !isGood(stored)) return undefined;
    if (!same(stored.hash, hash(secret))) return undefined;
    const { scopes, expiresMs, generation } = stored;
    return { local, id, scopes, expiresMs, generation, fact };
  }

  async function get(local: string, id: string): Promise<TokenFact | undefined> {
    const fact = await heads.get(subjectOf(local, id));
    const stored = fact && decodeToken(fact);
    return stored && isGood(stored) ? stored : undefined;
  }

  async function list(local: string): Promise<readonly KeptToken[]> {
    const { facts } = await log.snapshot([`${prefix}.token.${escapeToken(local)}.*`]);
    const kept: KeptToken[] = [];
    for (const fact of facts) {
      const token = decodeToken(fact);
      if (token && isGood(token)) kept.push({ id: fact.subject.split(".").at(-1) ?? "", token, fact });
    }
    return kept;
  }

  async function end(tokens: readonly KeptToken[]): Promise<void> {
    await Promise.all(
      tokens.map(async ({ fact: { subject, position: expected } }) => {
        try {
          await heads.append([{ subject, body: endedToken, expected, keepSeconds: endedSeconds }]);
        } catch (error) {
          // A token only ever changes by ending.
          if (!(error instanceof Conflict)) throw error;
        }
      }),
    );
  }

  function isGood({ expiresMs }: TokenFact): boolean {
    return expiresMs === undefined || expiresMs > now();
  }

  return { create, find, get, list, end };
}

const decodeToken = oncePerFact((fact): TokenFact | undefined => {
  const token = JSON.parse(fact.body) as Partial<TokenFact>;
  return token.hash === undefined ? undefined : (token as TokenFact);
});

function hash(secret: string): string {
  return hashOnce("sha256", secret, "base64url");
}

function same(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}
