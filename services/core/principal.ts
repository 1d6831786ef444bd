// Principals: who is asking, and how far the token reaches.
// In: an account and its scopes. Out: yes, or a Refusal that names the missing scope. Never: a token.
import type { Address } from "./address.ts";
import { matchNames } from "./name-pattern.ts";
import { Refusal } from "./refusal.ts";

export type NodeKind = "person" | "group" | "thing" | "agent";
export type Right = "read" | "write" | "watch" | "message" | "account";
export const rights: readonly Right[] = ["read", "write", "watch", "message", "account"];

export interface Principal {
  readonly address: Address;
  readonly kind: NodeKind;
  /** The agent that acts for it: notices, blocks and what it writes name this one. */
  readonly agent?: Address | undefined;
  /** Such as `read` or `write:travel`. */
  readonly scopes: readonly string[];
  readonly tokenId: string;
  /** When the token ends, in ms since 1970; absent: it does not end by itself. */
  readonly expiresMs?: number | undefined;
}

/** Whom others see. */
export function actorOf({ address, agent }: Pick<Principal, "address" | "agent">): Address {
  return agent ?? address;
}

/** Nobody in particular: a caller without a token. */
export type Caller = Principal | undefined;

const scopePattern = /^(read|write|watch|message|account)(:(\*|[a-z0-9][a-z0-9.-]{0,126}(\.\*)?))?$/;

export function isScope(text: string): boolean {
  return scopePattern.test(text);
}

export function parseScopes(scopes: readonly string[]): readonly string[] {
  for (const [index, scope] of scopes.entries()) {
    if (!isScope(scope)) {
      throw new Refusal("bad-request", `"${scope.slice(0, 40)}" is not a scope.`, [
        {
          pointer: `/scopes/${index}`,
          detail: `must be one of ${rights.join(", ")}, or narrowed like write:travel`,
        },
      ]);
    }
  }
  return [...new Set(scopes)];
}

/** Whether the scopes grant a right; with a name, a narrowed scope may grant it for that property. */
export function allows(scopes: readonly string[], right: Right, name?: string): boolean {
  // Most tokens are not narrowed, and this is asked for each reader of each event.
  if (scopes.includes(right)) return true;
  return scopes.some((scope) => {
    const [granted, pattern] = scope.split(":");
    if (granted !== right) return false;
    if (pattern === undefined) return true;
    return name !== undefined && matchNames([pattern])(name);
  });
}

export function requireScope(principal: Principal, right: Right, name?: string): void {
  if (allows(principal.scopes, right, name)) return;
  const missing = name === undefined ? right : `${right}:${name}`;
  throw new Refusal("scope-missing", `This token lacks the scope ${missing}.`);
}
