// Subscription shapes: a subscription as its owner is shown it.
// In: subscriptions, how they stand. Out: shapes. Never: a secret, but in the one answer that issues it.
import { type LeaseShape, timestamp } from "../core/event.ts";
import type { Principal } from "../core/principal.ts";
import type { QueryText } from "../core/query-target.ts";
import { nothingDisclosed } from "../property/properties.ts";
import type { Deliveries } from "./deliveries.ts";
import { type HookShape, hookShape } from "./hook.ts";
import type { Standing } from "./standing.ts";
import type { Subscription } from "./subscription-facts.ts";

export interface SubscriptionShape {
  readonly id: string;
  readonly subscriber: string;
  readonly target: string;
  readonly query?: QueryText;
  readonly properties: readonly string[];
  readonly depth: string;
  readonly filter?: string;
  readonly state: "active" | "pending";
  readonly lease?: Omit<LeaseShape, "default">;
  readonly delivery: "stream" | { readonly agent: string } | { readonly webhook: HookShape };
  readonly revealed?: readonly string[];
}

export interface ShapeDeps {
  readonly standing: Pick<Standing, "of">;
  readonly deliveries: Pick<Deliveries, "standing">;
}

/** @param issued a secret that its owner has yet to be shown */
export async function shapeOf(
  who: Principal,
  one: Subscription,
  { standing, deliveries }: ShapeDeps,
  issued?: string,
): Promise<SubscriptionShape> {
  const { id, subscriber, target, properties, depth, filter, lease, reveal, disclosed, agent, hook } = one;
  return {
    id,
    subscriber: subscriber.text,
    target,
    ...("query" in one.whom && { query: one.whom.query }),
    properties: properties.length === 0 ? ["*"] : properties,
    depth,
    ...(filter && { filter: filter.text }),
    state: await standing.of(one, { caller: who, via: "", disclosed: disclosed ?? nothingDisclosed }),
    ...(lease && { lease: { id, seconds: lease.seconds, until: timestamp(lease.untilMs) } }),
    delivery: hook
      ? { webhook: hookShape(hook, await deliveries.standing(one), issued) }
      : agent
        ? { agent: agent.text }
        : "stream",
    ...(reveal.length > 0 && { revealed: reveal }),
  };
}
