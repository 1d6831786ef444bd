// Standing: how a wish to watch stands with whom it is about.
// In: a wish, who wishes, the owner's decisions. Out: active or pending, or the refusal that the owner lets show. Never: a difference between nobody, nothing granted and a polite block.
import type { Address } from "../core/address.ts";
import type { Access, Look } from "../property/properties.ts";
import { askedTwice, type Follower } from "../store/follower.ts";
import type { WatchWish } from "./wish.ts";

export type State = "active" | "pending";

export interface Standing {
  /** Whether anything that it selects is granted there now. */
  of(wish: Pick<WatchWish, "whom" | "properties">, look: Look): Promise<State>;
  /** The same, for whoever asks of anybody: as long for whoever is remembered as for nobody. */
  ofAnybody(wish: Pick<WatchWish, "whom" | "properties">, look: Look): Promise<State>;
  /** Undefined while nobody is behind an e-mail address. */
  addressOf(wish: Pick<WatchWish, "whom">): Promise<Address | undefined>;
  /** @throws Refusal `blocked`, `reveal-required` */
  requireOpen(wish: Pick<WatchWish, "whom" | "properties">, look: Look): Promise<void>;
}

export interface StandingDeps {
  readonly access: Pick<Access, "judge" | "requireOpen">;
  readonly exists: (address: Address) => Promise<boolean>;
  /** The same, asked of the store itself. */
  readonly existsInStore: (address: Address) => Promise<boolean>;
  readonly follower: Pick<Follower, "position" | "caughtUp">;
  /** Who is behind an e-mail address; undefined while nobody is. */
  readonly whoHas: (email: string) => Promise<Address | undefined>;
}

export function openStanding({ access, exists, existsInStore, follower, whoHas }: StandingDeps): Standing {
  async function addressOf({ whom }: Pick<WatchWish, "whom">): Promise<Address | undefined> {
    if ("query" in whom) return undefined;
    return "address" in whom ? whom.address : await whoHas(whom.email);
  }

  async function stateOf(
    wish: Pick<WatchWish, "whom" | "properties">,
    look: Look,
    isThere: (address: Address) => Promise<boolean>,
  ): Promise<State> {
    if ("query" in wish.whom) return "active";
    const address = await addressOf(wish);
    if (address === undefined || !(await isThere(address))) return "pending";
    const isOpen = selected(wish).some((name) => access.judge(look, address, name, "watch").is === "granted");
    return isOpen ? "active" : "pending";
  }

  return {
    addressOf,
    of: async (wish, look) => await stateOf(wish, look, exists),
    // Who is remembered here would be found sooner than who is not: how long it takes must not tell.
    ofAnybody: async (wish, look) => await stateOf(wish, look, existsInStore),
    async requireOpen(wish, look) {
      const address = await addressOf(wish);
      if (address === undefined) return;
      await existsInStore(address);
      await askedTwice(follower, () => access.requireOpen(look, address, selected(wish), "watch"));
    },
  };
}

/** Patterns, `*` where all are selected. */
export function selected({ properties }: Pick<WatchWish, "properties">): readonly string[] {
  return properties.length === 0 ? ["*"] : properties;
}
