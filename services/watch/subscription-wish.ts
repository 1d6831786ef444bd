// Subscription wishes: what a request says of a subscription that is to be kept, or changed.
// In: nothing. Out: types. Never: a rule.
import type { HookChangeWish, HookWish } from "./hook.ts";
import type { TargetFields, WatchFields } from "./wish.ts";

export interface SubscriptionWish extends Omit<WatchFields, "target">, TargetFields {
  readonly lease?: { readonly seconds: number } | undefined;
  readonly reveal?: readonly string[] | undefined;
  readonly delivery?: "stream" | { readonly webhook: HookWish } | undefined;
}

export interface SubscriptionChangeWish {
  readonly lease?: { readonly seconds?: number } | undefined;
  /** null takes the filter away. */
  readonly filter?: string | null | undefined;
  readonly properties?: readonly string[] | undefined;
  readonly delivery?: { readonly webhook: HookChangeWish } | undefined;
}
