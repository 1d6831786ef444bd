// Deliveries: what is known of the POSTs to a webhook. The port between whoever keeps subscriptions and whoever delivers them.
// In: nothing. Out: types. Never: a body or a secret.
import type { HookStanding } from "./hook.ts";
import type { Subscription } from "./subscription-facts.ts";

/** One POST, or one event that was given up. */
export interface Attempt {
  /** `webhook-id` as it was sent: the event's id, or the batch's. */
  readonly id: string;
  /** The event's type, or `batch`. */
  readonly type: string;
  /** RFC 3339 */
  readonly at: string;
  readonly outcome: "delivered" | "retrying" | "failed";
  /** The endpoint's answer. */
  readonly status?: number;
  /** Why there was none. */
  readonly error?: string;
  readonly ms: number;
  /** 1 for the first. */
  readonly attempt: number;
}

export interface Deliveries {
  standing(one: Subscription): Promise<HookStanding>;
  /** The last ones, newest first. */
  attempts(one: Subscription): Promise<readonly Attempt[]>;
  /** Delivers again from a cursor, from a snapshot without one; also what was disabled. @throws Refusal `bad-cursor` */
  replay(one: Subscription, after: string | undefined): Promise<void>;
  /** Its URL is another one: no failure of the old one counts. */
  renew(one: Subscription): Promise<void>;
}
