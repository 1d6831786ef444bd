// Signed in: whom the tokens in use stand for, so that a busy client's token is not parsed and hashed at every request.
// In: principals with the facts that they rest on. Out: the same, while those facts still are the last. Never: a token on disk, or one that was revoked.
import type { Principal } from "../core/principal.ts";
import type { Heads } from "../store/heads.ts";
import type { Fact } from "../store/log.ts";

export interface SignedIn {
  get(token: string): Principal | undefined;
  keep(
    token: string,
    principal: Principal,
    expiresMs: number | undefined,
    rests: readonly (Fact | undefined)[],
  ): void;
}

interface Entry {
  readonly principal: Principal;
  readonly expiresMs: number | undefined;
  readonly rests: readonly Fact[];
}

/** When so many are kept, all are looked up anew. */
const keptMax = 10_000;

export function openSignedIn(heads: Heads, now: () => number): SignedIn {
  const kept = new Map<string, Entry>();
  return {
    get(token) {
      const entry = kept.get(token);
      if (entry === undefined) return undefined;
      const { principal, expiresMs, rests } = entry;
      // A revocation, here or by another broker, puts another fact in its place.
      const holds = rests.every((fact) => heads.peek(fact.subject) === fact);
      if (holds && (expiresMs === undefined || expiresMs > now())) return principal;
      kept.delete(token);
      return undefined;
    },
    keep(token, principal, expiresMs, rests) {
      const known = rests.filter((fact) => fact !== undefined);
      if (known.length < rests.length) return;
      if (kept.size >= keptMax) kept.clear();
      kept.set(token, { principal, expiresMs, rests: known });
    },
  };
}
