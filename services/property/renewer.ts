// Renewing: extend or end what a lease holds, over any number of properties.
// In: a principal and a lease id. Out: new deadlines, durable. Never: somebody else's lease, or one that has ended.
import { timestamp } from "../core/event.ts";
import { type Principal, requireScope } from "../core/principal.ts";
import { endLeaseById, type PropertyState, renewLease } from "../core/property.ts";
import { Refusal } from "../core/refusal.ts";
import { stateOf } from "../store/decoded.ts";
import type { Follower } from "../store/follower.ts";
import type { Append } from "../store/log.ts";
import { type Place, placeOf } from "../store/subjects.ts";
import type { Access } from "./access.ts";
import { propertyAppend } from "./appends.ts";
import type { Changes } from "./change.ts";
import type { Leases } from "./leases.ts";
import { requireLease } from "./wishes.ts";

export interface Renewed {
  readonly id: string;
  /** The earliest end among the renewed properties. */
  readonly until: string;
  readonly properties: readonly { readonly node: string; readonly name: string }[];
}

export interface Renewer {
  /** Without `seconds` each property's lease lasts as long again. @throws Refusal `lease-ended` */
  renew(who: Principal, leaseId: string, seconds?: number): Promise<Renewed>;
  /** Nothing happens where there is no such lease. */
  end(who: Principal, leaseId: string): Promise<void>;
}

export interface RenewerDeps {
  readonly changes: Changes;
  readonly leases: Leases;
  readonly follower: Follower;
  readonly access: Access;
  readonly now: () => number;
  readonly keeper: string;
}

interface Held {
  readonly place: Place;
  readonly state: PropertyState;
}

/** Properties that are renewed in one append; more of them are renewed in several. */
const togetherMax = 500;

export function openRenewer({ changes, leases, follower, access, now, keeper }: RenewerDeps): Renewer {
  async function changeLeased(
    who: Principal,
    leaseId: string,
    next: (state: PropertyState, nowMs: number) => PropertyState | undefined,
  ): Promise<readonly Held[]> {
    // Another broker may have granted the lease a moment ago.
    await follower.caughtUp();
    const subjects: string[] = [];
    for (const subject of leases.holding(who.address.text, leaseId)) {
      const { address, name } = placeOf(subject);
      requireScope(who, "write", name);
      // What was granted may have been taken back.
      if (access.mayWrite(who, address, name)) subjects.push(subject);
    }
    subjects.sort();
    const held: Held[] = [];
    for (let from = 0; from < subjects.length; from += togetherMax) {
      held.push(...(await changeTogether(subjects.slice(from, from + togetherMax), next)));
    }
    return held;
  }

  async function changeTogether(
    writes: readonly string[],
    next: (state: PropertyState, nowMs: number) => PropertyState | undefined,
  ): Promise<readonly Held[]> {
    const { outcome } = await changes.change({
      writes,
      prepare: (fact, isFresh) => (isFresh ? leases.settleSurely(fact) : leases.settle(fact)),
      decide: (known) => {
        const nowMs = now();
        const appends: Append[] = [];
        const held: Held[] = [];
        for (const [subject, fact] of known) {
          const state = fact && stateOf(fact);
          const changed = state && next(state, nowMs);
          if (changed === undefined) continue;
          appends.push(propertyAppend(subject, changed, fact));
          held.push({ place: placeOf(subject), state: changed });
        }
        return { appends, outcome: held };
      },
    });
    return outcome;
  }

  return {
    async renew(who, leaseId, seconds) {
      if (seconds !== undefined) requireLease({ seconds }, "");
      const account = who.address.text;
      const held = await changeLeased(who, leaseId, (state, nowMs) =>
        renewLease(state, leaseId, account, seconds, nowMs, keeper),
      );
      if (held.length === 0)
        throw new Refusal("lease-ended", "No property of yours holds this lease any more.");
      let untilMs = Number.POSITIVE_INFINITY;
      for (const { state } of held) {
        for (const { by, lease } of state.views.values()) {
          if (lease?.id === leaseId && by === account) untilMs = Math.min(untilMs, lease.untilMs);
        }
      }
      const properties = held.map(({ place }) => ({ node: place.address.text, name: place.name }));
      return { id: leaseId, until: timestamp(untilMs), properties };
    },
    async end(who, leaseId) {
      await changeLeased(who, leaseId, (state, nowMs) =>
        endLeaseById(state, leaseId, who.address.text, nowMs, keeper),
      );
    },
  };
}
