// Hooks: what is agreed with an endpoint before anything is delivered there.
// In: wishes. Out: hooks, secrets to sign with. Never: a hook for an address that may not be reached, or for an endpoint that says no or was not asked.
import type { HookSecrets } from "../accounts/accounts.ts";
import type { Address } from "../core/address.ts";
import { Refusal } from "../core/refusal.ts";
import { type Egress, type EgressAnswer, NoAnswer, openGate, type Room } from "../egress/egress.ts";
import {
  badWebhook,
  type Hook,
  type HookChangeWish,
  type HookWish,
  issueSecret,
  requireSecret,
} from "./hook.ts";

export interface Hooks {
  /** Asks the endpoint, when its owner's turn has come. @throws Refusal `bad-webhook`, `rate-limited` when it does not come */
  agree(owner: Address, wish: HookWish): Promise<Agreed>;
  /** The same for one that is there. */
  change(owner: Address, present: Hook, wish: HookChangeWish): Promise<Agreed>;
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
  /** For a turn, and then for an answer; others than usual, for tests. */
  readonly handshakeMs?: number | undefined;
}

const usualHandshakeMs = 5_000;
/** P16: who is refused is told within two seconds. */
const turnMsMax = 1_500;
/** One account has at most 5 under way. */
const room: Room = { places: 100, sharedBy: 20 };
/** Requests a minute; fewer where the endpoint says so. */
const rateWished = 6_000;

export function openHooks(deps: HooksDeps): Hooks {
  const { egress, secrets, domain, handshakeMs = usualHandshakeMs } = deps;
  const gate = openGate(room);

  /** CloudEvents HTTP 1.1 Web Hooks §4: whoever can answer may say no. */
  async function askEndpoint(owner: Address, url: string): Promise<Pick<Hook, "isVerified" | "rate">> {
    const against = egress.objection(url);
    if (against) throw badWebhook("url", against);
    const answer = await inTurn(owner, () => handshake(url));
    const origin = answer?.headers["webhook-allowed-origin"]?.trim().toLowerCase();
    if (origin === undefined) return { isVerified: false, rate: undefined };
    if (origin !== "*" && origin !== domain) {
      throw badWebhook("url", `leads to an endpoint that does not allow webhooks of ${domain}`);
    }
    return { isVerified: true, rate: rateOf(answer?.headers["webhook-allowed-rate"]) };
  }

  async function inTurn<T>(owner: Address, ask: () => Promise<T>): Promise<T> {
    const leave = await gate.enter(owner.text, AbortSignal.timeout(Math.min(handshakeMs, turnMsMax)));
    if (leave) return await ask().finally(leave);
    // Not asked is not the same as silent: it may be there, and say no.
    const detail =
      "Endpoints that were named before are still being asked; name this one again when they have answered.";
    throw new Refusal("rate-limited", detail, undefined, Math.ceil(handshakeMs / 1000));
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
    async agree(owner, { url, secret, format = "cloudevents" }) {
      if (secret !== undefined) requireSecret(secret);
      const hook = { url, format, ...(await askEndpoint(owner, url)) };
      const issued = secret === undefined ? issueSecret() : undefined;
      return { hook, secret: secret ?? issued, issued };
    },
    async change(owner, present, { url, format = present.format, secret, rotate = false }) {
      if (secret !== undefined) requireSecret(secret);
      if (secret !== undefined && rotate) throw badWebhook("rotate", "does not go with `secret`");
      const said = url === undefined ? {} : { url, ...(await askEndpoint(owner, url)) };
      const issued = rotate ? issueSecret() : undefined;
      return { hook: { ...present, ...said, format }, secret: secret ?? issued, issued };
    },
  };
}

function rateOf(text: string | undefined): number | undefined {
  const rate = Number(text);
  return Number.isInteger(rate) && rate > 0 ? rate : undefined;
}
