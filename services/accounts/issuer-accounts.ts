// Issuer's accounts: which account each subject of an OIDC issuer has, for ever.
// In: an issuer's word for who somebody is. Out: their account, made the first time that they come. Never: one account for two subjects.
import { hash } from "node:crypto";
import { makeAddress } from "../core/address.ts";
import { Refusal } from "../core/refusal.ts";
import type { Heads } from "../store/heads.ts";
import { Conflict, type Fact } from "../store/log.ts";
import type { Audit } from "./audit.ts";
import type { Claims } from "./registration.ts";

/** @returns the handle of a subject's account */
export type IssuerAccounts = (subject: string, handle: string | undefined) => Promise<string>;

export interface IssuerAccountDeps {
  readonly prefix: string;
  readonly issuer: string;
  readonly heads: Heads;
  readonly registration: Claims;
  readonly audit: Pick<Audit, "record">;
  readonly domain: string;
  readonly now: () => number;
}

export function openIssuerAccounts(deps: IssuerAccountDeps): IssuerAccounts {
  const { prefix, issuer, heads, registration, audit, domain, now } = deps;

  async function bind(subject: string, at: string, handle: string | undefined): Promise<string> {
    const account = { createdMs: Math.floor(now()), kind: "person", oidc: { issuer, subject } } as const;
    const also = async (local: string) => {
      if (await heads.refresh(at)) throw new Conflict("the subject has an account by now");
      return [{ subject: at, body: JSON.stringify({ local }), expected: 0 }];
    };
    if (handle !== undefined) {
      try {
        await registration.claim(handle, account, also);
        return handle;
      } catch (error) {
        // Whoever has the handle keeps it, also if it is somebody of the same name whom the issuer let go.
        if (!(error instanceof Refusal) || error.code !== "handle-taken") throw error;
      }
    }
    return await registration.claimNumber(account, also);
  }

  return async (subject, handle) => {
    const at = `${prefix}.oidc.${hash("sha256", JSON.stringify([issuer, subject]), "base64url")}`;
    const known = await heads.get(at);
    if (known) return localOf(known);
    try {
      const local = await bind(subject, at, handle);
      audit.record("account.registered", { account: makeAddress(local, domain).text, via: "oidc" });
      return local;
    } catch (error) {
      // The same subject may have come twice at once.
      const bound = await heads.refresh(at);
      if (bound === undefined) throw error;
      return localOf(bound);
    }
  };
}

function localOf(fact: Fact): string {
  return (JSON.parse(fact.body) as { local: string }).local;
}
