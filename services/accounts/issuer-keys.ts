// Issuer's keys: what an OIDC issuer signs with, found by discovery (OpenID Connect Discovery 1.0 §4) and remembered.
// In: the issuer's URL, headers of tokens. Out: the key that a header names. Never: an algorithm that the issuer did not begin with, or a fetch for each token.
import { type CryptoKey, importJWK, type JWK, type JWTHeaderParameters } from "jose";
import { Refusal } from "../core/refusal.ts";

export interface IssuerKeys {
  /** Undefined when the issuer has no such key. @throws Refusal `unavailable` when it does not answer and nothing is known of it */
  keyFor(header: JWTHeaderParameters): Promise<CryptoKey | Uint8Array | undefined>;
}

export interface IssuerKeyDeps {
  readonly issuer: string;
  readonly now: () => number;
  readonly onTrouble: (message: string) => void;
}

interface Known {
  readonly jwk: JWK;
  readonly algorithm: string;
  /** Made ready the first time that it is asked for. */
  ready?: Promise<CryptoKey | Uint8Array>;
}

/** Signatures that others can check and not make (RFC 7518 §3.1, RFC 8037): never `none`, never a shared secret. */
export const asymmetric: ReadonlySet<string> = new Set([
  ...["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
  ...["ES256", "ES384", "ES512", "EdDSA", "Ed25519"],
]);
/** What a key is for that does not say so itself. */
const usual: Readonly<Record<string, string>> = {
  "RSA ": "RS256",
  "EC P-256": "ES256",
  "EC P-384": "ES384",
  "EC P-521": "ES512",
  "OKP Ed25519": "EdDSA",
};
const fetchTimeoutMs = 5_000;
const documentBytesMax = 256 * 1024;
const keysMax = 100;
/** An unknown key is asked for no sooner than this after the last time. */
const pauseMs = 30_000;
/** Keys that the issuer took away count for no longer than this. */
const freshMs = 10 * 60_000;

export function openIssuerKeys({ issuer, now, onTrouble }: IssuerKeyDeps): IssuerKeys {
  let keys: readonly Known[] = [];
  /** The algorithms of the first keys: no later key brings another in. */
  let pinned: ReadonlySet<string> | undefined;
  let askedMs = Number.NEGATIVE_INFINITY;
  let asking: Promise<void> | undefined;

  async function ask(): Promise<void> {
    try {
      const metadata = await fetchObject(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`);
      if (metadata.issuer !== issuer) throw new Error("its metadata names another issuer");
      const { keys: given } = await fetchObject(requireUrl(metadata.jwks_uri, issuer));
      if (!Array.isArray(given)) throw new Error("its key set holds no keys");
      const usable = given.slice(0, keysMax).flatMap(usableKey);
      if (usable.length > 0) pinned ??= new Set(usable.map(({ algorithm }) => algorithm));
      keys = usable.filter(({ algorithm }) => pinned?.has(algorithm));
    } catch (error) {
      // What is known stays good meanwhile: an issuer that is away for a while keeps nobody out.
      onTrouble(`the issuer of tokens gave no keys: ${(error as Error).message}`);
    }
  }

  /** Asks the issuer, unless that was just done. */
  function refresh(): Promise<void> {
    if (asking === undefined && now() - askedMs >= pauseMs) {
      askedMs = now();
      asking = ask().finally(() => {
        asking = undefined;
      });
    }
    return asking ?? Promise.resolve();
  }

  function find({ kid, alg }: JWTHeaderParameters): Known | undefined {
    const named = kid === undefined ? keys : keys.filter(({ jwk }) => jwk.kid === kid);
    const fitting = named.filter(({ algorithm }) => algorithm === alg);
    // Without a name there must be no choice.
    return fitting.length === 1 ? fitting[0] : undefined;
  }

  return {
    async keyFor(header) {
      if (find(header) === undefined) await refresh();
      else if (now() - askedMs > freshMs) void refresh();
      if (pinned === undefined) throw new Refusal("unavailable", "The issuer of tokens does not answer.");
      const found = find(header);
      if (found === undefined) return undefined;
      found.ready ??= importJWK(found.jwk, found.algorithm);
      return await found.ready;
    },
  };
}

function usableKey(given: unknown): Known[] {
  const jwk = given as JWK | null;
  if (typeof jwk !== "object" || jwk === null || jwk.use === "enc") return [];
  const algorithm = jwk.alg ?? usual[`${jwk.kty} ${jwk.crv ?? ""}`];
  return algorithm !== undefined && asymmetric.has(algorithm) ? [{ jwk, algorithm }] : [];
}

/** Keys come over TLS, unless the issuer is this machine. */
function requireUrl(given: unknown, issuer: string): string {
  if (typeof given !== "string" || !URL.canParse(given)) throw new Error("its metadata names no key set");
  const { protocol } = new URL(given);
  if (protocol !== "https:" && protocol !== new URL(issuer).protocol)
    throw new Error("its key set is not on https");
  return given;
}

async function fetchObject(url: string): Promise<Record<string, unknown>> {
  const signal = AbortSignal.timeout(fetchTimeoutMs);
  const response = await fetch(url, { signal, redirect: "error", headers: { accept: "application/json" } });
  if (!response.ok || response.body === null) throw new Error(`it answered ${response.status}`);
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body) {
    bytes += part.length;
    if (bytes > documentBytesMax) throw new Error("its answer is too large");
    parts.push(part);
  }
  const parsed: unknown = JSON.parse(Buffer.concat(parts).toString("utf8"));
  if (typeof parsed !== "object" || parsed === null) throw new Error("its answer is no object");
  return parsed as Record<string, unknown>;
}
