// Kept: a subscription that a stream carries, and where its reader left off with it.
// In: subscriptions, where the stream's reader left off. Out: a type, and starts. Never: a start past something that the reader is owed.
import type { Address } from "../core/address.ts";
import type { Json } from "../core/json.ts";
import type { Caller, Principal } from "../core/principal.ts";
import type { Gathering } from "./gathering.ts";
import type { Start } from "./history.ts";
import type { Subscription } from "./subscription-facts.ts";
import type { Target } from "./target.ts";
import type { Watch } from "./watch.ts";
import type { WatchWish } from "./wish.ts";

export interface Kept {
  readonly id: string;
  readonly wish: WatchWish;
  /** Undefined for one that lasts as long as the stream. */
  readonly stored: Subscription | undefined;
  /** Where the reader left off with it. */
  readonly start: Start;
  watch: Watch | undefined;
  /** Members of a group that it watches. */
  gathering?: Gathering;
}

export function keptFrom(subscription: Subscription, start: Start): Kept {
  return { id: subscription.id, wish: subscription, stored: subscription, start, watch: undefined };
}

/** @param node where it leads, whatever it names */
export function targetOf({ wish, stored }: Kept, node: Address): Target {
  const { depth, properties, filter, disclosed } = wish;
  const isKept = stored !== undefined;
  return { node, depth, properties, filter, disclosed, isKept, made: stored?.made };
}

/** Of a subscription that the stream does not carry yet. @param left where its reader left off. @param here where it stands */
export function startOf({ made, since, whom }: Subscription, left: Start, here: Start): Start {
  const { position } = left;
  if (position === undefined) return { ...here, position: undefined };
  // It may have been told of this one since it was made, and cut off before it was told all: what ended since, it must hear.
  if (made > position) return { ...here, position: made - 1, isPartial: true };
  // Whoever came to an address by e-mail may have come later than some of its values.
  return since > position || "email" in whom ? { ...left, isPartial: true } : left;
}

/** What its watcher discloses is what its node holds now, of what it once named. */
export async function disclosing(
  kept: Kept,
  caller: Caller,
  own: (who: Principal, names: readonly string[]) => Promise<ReadonlyMap<string, Json>>,
): Promise<Kept> {
  const named = kept.stored?.reveal ?? [];
  if (caller === undefined || named.length === 0) return kept;
  return { ...kept, wish: { ...kept.wish, disclosed: await own(caller, named) } };
}

/** Whether a stream carries a subscription: just one, or all of its caller that no webhook delivers and no other agent hears. */
export function isCarried(
  id: string,
  { hook, agent }: Partial<Pick<Subscription, "hook" | "agent">> = {},
  caller: Caller,
  only: string | undefined,
): boolean {
  if (only !== undefined) return id === only;
  return hook === undefined && agent?.text === caller?.agent?.text;
}
