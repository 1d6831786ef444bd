// What the subscriptions of one stream need: see own.ts.
// In: nothing. Out: types. Never: a rule.
import type { Address } from "../core/address.ts";
import type { Json } from "../core/json.ts";
import type { Principal } from "../core/principal.ts";
import type { Members } from "../groups/groups.ts";
import type { Access } from "../property/properties.ts";
import type { Acquaintance } from "./acquaintance.ts";
import type { FoundDeps } from "./found.ts";
import type { Standing } from "./standing.ts";
import type { Subscription } from "./subscription-facts.ts";

export interface OwnDeps {
  readonly now: () => number;
  /** Who is behind an e-mail address; undefined while nobody is. */
  readonly whoHas: (email: string) => Promise<Address | undefined>;
  readonly end: (subscription: Subscription, reason: "filter-too-slow" | "blocked") => Promise<void>;
  readonly access: Pick<Access, "judge" | "may" | "hasChanged" | "maySeeMembers">;
  readonly foundBy: FoundDeps["foundBy"];
  readonly members: Pick<Members, "of" | "turnsSince" | "turnsNear">;
  readonly standing: Standing;
  readonly epoch: string;
  /** Of these names the ones that the watcher's own node holds, with their values. */
  readonly own: (who: Principal, names: readonly string[]) => Promise<ReadonlyMap<string, Json>>;
  readonly acquaintance: Acquaintance;
}

/** What of its caller's a stream carries. */
export interface OwnReach {
  /** Just this one, and nothing else that is the caller's (watchers, groups); without it all that no webhook delivers. */
  readonly only?: string | undefined;
  /** Whether the caller hears who watches it. */
  readonly hearsWatchers: boolean;
  /** Whether it is told of groups that the caller owns, or is in. */
  readonly hearsGroups: boolean;
}
