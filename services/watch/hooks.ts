// Hooks: what is agreed with an endpoint before anything is delivered there.
// In: wishes. Out: hooks, secrets to sign with. Never: a hook for an address that may not be reached, or for an endpoint that says no.
import type { HookSecrets } from "../accounts/accounts.ts";
import { type Egress, type EgressAnswer, NoAnswer } from "../egress/egress.ts";
import {
  badWebhook,
  type Hook,
  type HookChangeWish,
  type HookWish,
  issueSecret,
  requireSecret,
} from "./hook.ts";

export interface Hooks {
  /** Asks the endpoint. @throws Refusal `bad-webhook` */
  agree(wish: HookWish): Promise<Agreed>;
  /** The same for one that is there. */
  change(present: Hook, wish: HookChangeWish): Promise<Agreed>;
  readonly secrets: HookSecrets;
}

export interface Agreed {
  readonly hook: Hook;
  /** Undefined: it stays as it is. */
  readonly secret: string | undefined;
  /** The secret, where it is ours and its owner has yet to be shown it. */
  readonly issued: string | undefined;
}

export interface HooksDeps {
  readonly egress: Pick<Egress, "objection" | "request">;
  readonly secrets: HookSecrets;
  readonly domain: string;
}

const handshakeMs = 5_000;
/** Requests a minute; fewer where the endpoint says so. */
const rateWished = 6_000;

export function openHooks({ egress, secrets, domain }: HooksDeps): Hooks {
  /** CloudEvents HTTP 1.1 Web Hooks §4: whoever can answer may say no. */
  async function askEndpoint(url: string): Promise<Pick<Hook, "isVerified" | "rate">> {
    const against = egress.objection(url);
    if (against) throw badWebhook("url", against);
    const answer = await handshake(url);
    const origin = answer?.headers["webhook-allowed-origin"]?.trim().toLowerCase();
    if (origin === undefined) return { isVerified: false, rate: undefined };
    if (origin !== "*" && origin !== domain) {
      throw badWebhook("url", `leads to an endpoint that does not allow webhooks of ${domain}`);
    }
    return { isVerified: true, rate: rateOf(answer?.headers["webhook-allowed-rate"]) };
  }

  async function handshake(url: string): Promise<EgressAnswer | undefined> {
    const headers = { "webhook-request-origin": domain, "webhook-request-rate": String(rateWished) };
    try {
      return await egress.request({ url, method: "OPTIONS", headers, timeoutMs: handshakeMs, bytesMax: 0 });
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      if (error.why === "not-allowed") throw badWebhook("url", "must not lead to a private address");
      // Nobody is there now: somebody may be when there is something to tell.
      return undefined;
    }
  }

  return {
    secrets,
    async agree({ url, secret, format = "cloudevents" }) {
      if (secret !== undefined) requireSecret(secret);
      const hook = { url, format, ...(await askEndpoint(url)) };
      const issued = secret === undefined ? issueSecret() : undefined;
      return { hook, secret: secret ?? issued, issued };
    },
    async change(present, { url, format = present.format, secret, rotate = false }) {
      if (secret !== undefined) requireSecret(secret);
      if (secret !== undefined && rotate) throw badWebhook("rotate", "does not go with `secret`");
      const said = url === undefined ? {} : { url, ...(await askEndpoint(url)) };
      const issued = rotate ? issueSecret() : undefined;
      return { hook: { ...present, ...said, format }, secret: secret ?? issued, issued };
    },
  };
}

function rateOf(text: string | undefined): number | undefined {
  const rate = Number(text);
  return Number.isInteger(rate) && rate > 0 ? rate : undefined;
}
