// Issuer's tokens: JWT access tokens (RFC 9068) of the one OIDC issuer that the operator trusts.
// In: bearer tokens. Out: whom the issuer says that they stand for. Never: a token for somebody else, of somebody else, or past its time.
import { jwtVerify } from "jose";
import { parseHandle } from "../core/address.ts";
import { isScope, rights } from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import { asymmetric, type IssuerKeyDeps, openIssuerKeys } from "./issuer-keys.ts";

export interface OidcSettings {
  readonly issuer: string;
  readonly audience: string;
  /** The claim that proposes a handle. */
  readonly handleClaim: string;
}

export interface Bearer {
  readonly subject: string;
  /** What the account is to be called, if that can be. */
  readonly handle: string | undefined;
  readonly scopes: readonly string[];
  readonly expiresMs: number;
}

const toleranceSeconds = 30;
const subjectMax = 255;

export function openIssuerTokens(
  { issuer, audience, handleClaim }: OidcSettings,
  deps: Omit<IssuerKeyDeps, "issuer">,
): (token: string) => Promise<Bearer> {
  const keys = openIssuerKeys({ issuer, ...deps });

  return async (token) => {
    const { payload } = await verify(token);
    const { sub = "", exp = 0, scope } = payload;
    if (sub === "" || sub.length > subjectMax) throw notGood();
    const ours = typeof scope === "string" ? scope.split(" ").filter(isScope) : [];
    return {
      subject: sub,
      handle: handleOf(payload[handleClaim]),
      // An issuer that does not know our scopes gives all of them.
      scopes: ours.length > 0 ? [...new Set(ours)] : rights,
      expiresMs: (exp + toleranceSeconds) * 1000,
    };
  };

  async function verify(token: string) {
    try {
      return await jwtVerify(
        token,
        async (header) => {
          const key = await keys.keyFor(header);
          if (key === undefined) throw notGood();
          return key;
        },
        {
          issuer,
          audience,
          algorithms: [...asymmetric],
          typ: "at+jwt",
          requiredClaims: ["exp", "iat", "sub"],
          clockTolerance: toleranceSeconds,
          currentDate: new Date(deps.now()),
        },
      );
    } catch (error) {
      if (error instanceof Refusal) throw error;
      // Whatever is wrong with it, whoever sends it is not known.
      throw notGood();
    }
  }
}

/** A JWT begins with `{`; what a token of our own begins with never reads like that (tokens.ts). */
export function isJwt(token: string): boolean {
  return /^e[w-z0-9_-][\w-]*\.[\w-]+\.[\w-]*$/.test(token);
}

function handleOf(claim: unknown): string | undefined {
  try {
    return typeof claim === "string" ? parseHandle(claim) : undefined;
  } catch {
    // Then a number will do.
    return undefined;
  }
}

function notGood(): Refusal {
  return new Refusal("unauthenticated", "The token is not one that is good here.");
}
