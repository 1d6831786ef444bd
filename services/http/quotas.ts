// Quotas: how much one account, or one client without a token, may ask for, so that nobody takes what all share.
// In: who asks, for what. Out: header fields that say what is left, or a Refusal `rate-limited`. Never: a word to the store; each broker counts for itself.
import type { FastifyReply, FastifyRequest } from "fastify";
import type { Address } from "../core/address.ts";
import { type Buckets, type Limit, openBuckets } from "../core/buckets.ts";
import type { Caller } from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import { clientOf, isLoopback } from "./clients.ts";
import type { EnumerationLimit } from "./enumeration.ts";

/** What a request may be counted as, besides each being a request. */
export type Quota = "requests" | "writes" | "subscriptions" | "registrations" | "revocations";

export interface Limits extends Readonly<Record<Quota, Limit>> {
  /** Passwords that were wrong, from one client, whatever account they were for. */
  readonly signInsOfClient: Limit;
  /** The same for one account; from one client, and from all of them. */
  readonly signInsOfClientAtAccount: Limit;
  readonly signInsAtAccount: Limit;
  /** Targets that somebody asks for and may not see, or that do not exist. */
  readonly enumeration: EnumerationLimit;
}

const hour = 3_600;

/** docs/decisions/quotas.md tells why they are what they are. */
export const usualLimits: Limits = {
  requests: { burst: 20_000, perSecond: 1_000 },
  writes: { burst: 15_000, perSecond: 500 },
  subscriptions: { burst: 12_000, perSecond: 5 },
  registrations: { burst: 200, perSecond: 360 / hour },
  revocations: { burst: 1_000, perSecond: 10 },
  signInsOfClient: { burst: 300, perSecond: 600 / hour },
  signInsOfClientAtAccount: { burst: 100, perSecond: 100 / hour },
  signInsAtAccount: { burst: 1_000, perSecond: 1_000 / hour },
  enumeration: { unknownMax: 1_000, windowMs: hour * 1000 },
};

/** Buckets that are remembered of each limit, some 8 MB at most. */
const keysMax = 50_000;

/** In how many parts callers are told what is left. */
const grains = 20;

/** Each by another time, so that those who were refused together do not come back together. */
const lateMs = { least: 250, most: 750 };
/** Refusals that wait; one more is answered at once, or they would take memory. */
const waitingMax = 10_000;

/** Who asks: an account, or without a token whoever is at this address. A fastify request is one. */
export interface Asker {
  readonly caller: Caller;
  /** Undefined when its connection is gone. */
  readonly ip: string | undefined;
}

export interface Quotas {
  /** Counts a request by its route and method, and says in the answer what is left. @throws Refusal */
  admit(request: FastifyRequest, reply: FastifyReply): void;
  /** Counts what came another way. @throws Refusal */
  take(quota: Quota, who: Asker, amount?: number): void;
  /** Counts what was done already: where there is too little left, whatever comes next is refused until it is made up for. */
  spend(quota: Quota, who: Asker, amount: number): void;
  /** Answers a refusal late: whoever asks on and on takes the time of others even if it is only refused. */
  late(answer: () => void): void;
  /** Counts a try at an account's password, unless it was right. @throws Refusal, and what the try throws */
  signIn<T>(ip: string | undefined, target: Address, attempt: () => Promise<T>): Promise<T>;
}

export interface QuotaDeps {
  readonly limits: Limits;
  readonly now: () => number;
  readonly onRefused: (quota: string) => void;
}

export const noQuotas: Quotas = {
  admit: () => undefined,
  take: () => undefined,
  spend: () => undefined,
  late: (answer) => answer(),
  signIn: async (_ip, _target, attempt) => await attempt(),
};

export function openQuotas({ limits, now, onRefused }: QuotaDeps): Quotas {
  const buckets: Record<Quota, Buckets> = {
    requests: openBuckets(limits.requests, keysMax),
    writes: openBuckets(limits.writes, keysMax),
    subscriptions: openBuckets(limits.subscriptions, keysMax),
    registrations: openBuckets(limits.registrations, keysMax),
    revocations: openBuckets(limits.revocations, keysMax),
  };
  const ofClient = openBuckets(limits.signInsOfClient, keysMax);
  const ofClientAtAccount = openBuckets(limits.signInsOfClientAtAccount, keysMax);
  const atAccount = openBuckets(limits.signInsAtAccount, keysMax);
  const policies = new Map<readonly Quota[], string>();
  let waiting = 0;

  function refused(quota: string, waitMs: number): Refusal {
    onRefused(quota);
    const seconds = Math.ceil(waitMs / 1000);
    return new Refusal(
      "rate-limited",
      `These were too many ${quota}; try again in ${seconds} s.`,
      undefined,
      seconds,
    );
  }

  /** RateLimit-Policy of what is counted together: it never changes. */
  function policyOf(counted: readonly Quota[]): string {
    const known = policies.get(counted);
    if (known !== undefined) return known;
    const policy = counted
      .map((quota) => `"${quota}";q=${limits[quota].burst};w=${windowOf(quota)}`)
      .join(", ");
    policies.set(counted, policy);
    return policy;
  }

  /** Seconds until all of it is back. */
  function windowOf(quota: Quota): number {
    return Math.ceil(limits[quota].burst / limits[quota].perSecond);
  }

  /** What is left, in whole grains: answers that are to look the same must not differ by what was asked between them. */
  const told = new Map<Quota, readonly string[]>();
  for (const quota of Object.keys(buckets) as Quota[]) {
    const { burst } = limits[quota];
    const texts = Array.from({ length: grains + 1 }, (_, used) => {
      const left = Math.floor((burst * (grains - used)) / grains);
      return `"${quota}";r=${left};t=${Math.ceil((windowOf(quota) * used) / grains)}`;
    });
    told.set(quota, texts);
  }

  return {
    admit(request, reply) {
      const counted = countedAs(request);
      if (counted.length === 0) return;
      const nowMs = now();
      let left = "";
      let refusal: Refusal | undefined;
      for (const quota of counted) {
        const bucket = buckets[quota].of(keyOf(quota, request));
        const waitMs = refusal ? 0 : bucket.take(1, nowMs);
        if (waitMs > 0) refusal = refused(quota, waitMs);
        if (left !== "") left += ", ";
        left +=
          waitMs > 0
            ? `"${quota}";r=0;t=${Math.ceil(waitMs / 1000)}`
            : told.get(quota)?.[Math.ceil(bucket.used(nowMs) * grains)];
      }
      // draft-ietf-httpapi-ratelimit-headers-10, structured fields: what there is, and what is left of it.
      reply.header("ratelimit-policy", policyOf(counted)).header("ratelimit", left);
      if (refusal) throw refusal;
    },
    take(quota, who, amount = 1) {
      const nowMs = now();
      const waitMs = buckets[quota].of(keyOf(quota, who)).take(amount, nowMs);
      if (waitMs > 0) throw refused(quota, waitMs);
    },
    spend: (quota, who, amount) => void buckets[quota].of(keyOf(quota, who)).spend(amount, now()),
    late(answer) {
      if (waiting >= waitingMax) return answer();
      waiting++;
      const ms = lateMs.least + Math.random() * (lateMs.most - lateMs.least);
      setTimeout(() => {
        waiting--;
        answer();
      }, ms);
    },
    async signIn(ip, target, attempt) {
      const nowMs = now();
      const client = clientOf(ip);
      const counting = [
        ofClientAtAccount.of(`${client} ${target.text}`),
        atAccount.of(target.text),
        ...(isLoopback(ip) ? [] : [ofClient.of(client)]),
      ];
      // Each is counted as wrong until it was right, or many at once would all be tried.
      for (const [index, bucket] of counting.entries()) {
        const waitMs = bucket.take(1, nowMs);
        if (waitMs === 0) continue;
        for (const taken of counting.slice(0, index)) taken.giveBack(1);
        throw refused("failed sign-ins", waitMs);
      }
      try {
        const answer = await attempt();
        for (const bucket of counting) bucket.giveBack(1);
        return answer;
      } catch (error) {
        if (!(error instanceof Refusal) || error.code !== "unauthenticated")
          for (const bucket of counting) bucket.giveBack(1);
        throw error;
      }
    },
  };
}

const asNothing: readonly Quota[] = [];
const asRequest: readonly Quota[] = ["requests"];
const asWrite: readonly Quota[] = ["requests", "writes"];
const asSubscription: readonly Quota[] = ["requests", "writes", "subscriptions"];
const asRegistration: readonly Quota[] = ["registrations"];
const asRevocation: readonly Quota[] = ["revocations"];

function countedAs({ routeOptions, method, caller, ip }: FastifyRequest): readonly Quota[] {
  const { counts = "request" } = routeOptions.config;
  if (counts === "nothing") return asNothing;
  // A proxy on this machine stands for everybody.
  if (counts === "registration") return isLoopback(ip) ? asNothing : asRegistration;
  if (caller === undefined || method === "GET" || method === "HEAD") return asRequest;
  if (counts === "revocation") return asRevocation;
  return counts === "subscription" ? asSubscription : asWrite;
}

/** One name for an account, or for a client without a token. */
export function askerKey({ caller, ip }: Asker): string {
  return caller ? caller.address.text : clientOf(ip);
}

/** Whoever floods with a stolen token does not keep its owner from revoking it. */
function keyOf(quota: Quota, who: Asker): string {
  return quota === "revocations" ? `${clientOf(who.ip)} ${askerKey(who)}` : askerKey(who);
}
