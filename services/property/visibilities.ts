// Visibilities: how open each property is while its owner has no policy.
// In: the types that ship, facts of types in log order. Out: a visibility for each owner and name, and word of each change. Never: a schema.
import { type Address, rootOf } from "../core/address.ts";
import { matchNames } from "../core/name-pattern.ts";
import { type Visibility, visibilityOfUnknown } from "../core/policy.ts";
import type { Follower } from "../store/follower.ts";
import type { Fact } from "../store/log.ts";
import { placeOf } from "../store/subjects.ts";
import { typeOf } from "./type-facts.ts";

/** A type became more open, or less, at a position in the log. */
export interface Retyping {
  /** The account whose own type it is; undefined for the whole domain's. */
  readonly owner: string | undefined;
  readonly name: string;
  readonly position: number;
  readonly isWider: boolean;
}

export interface Visibilities extends Disposable {
  /** @param name a property's, or a pattern: that is as open as the most open type that it selects */
  of(owner: Address, name: string): Visibility;
  /** Whether an account has a type of its own for this name. */
  hasOwn(owner: Address, name: string): boolean;
  /** The accounts that have one. */
  ownersOf(name: string): readonly string[];
  /** Where a type of this owner, or of the domain, last became more or less open. */
  changed(owner: Address): number;
  listen(onRetyping: (retyping: Retyping) => void): Disposable;
}

const openness: Record<Visibility, number> = { private: 0, contacts: 1, public: 2 };

export function openVisibilities(follower: Follower, shipped: ReadonlyMap<string, Visibility>): Visibilities {
  const ofDomain = new Map<string, Visibility>();
  /** By account and name. */
  const own = new Map<string, Visibility>();
  /** By account; the domain's under the empty name. */
  const changes = new Map<string, number>();
  const listeners = new Set<(retyping: Retyping) => void>();
  const following = follower.listen({ take });

  function take(fact: Fact): void {
    if (!fact.subject.includes(".type.")) return;
    const { address, kind, name } = placeOf(fact.subject);
    if (kind !== "type") return;
    const type = typeOf(fact);
    const visibility = type && (type.visibility ?? visibilityOfUnknown);
    const before = of(address, name);
    const [at, key] = address.local === "" ? [ofDomain, name] : [own, ownKey(address, name)];
    if (visibility) at.set(key, visibility);
    else at.delete(key);
    const after = of(address, name);
    if (before === after) return;
    const { position } = fact;
    const owner = address.local === "" ? undefined : rootOf(address).text;
    changes.set(owner ?? "", position);
    const isWider = openness[after] > openness[before];
    for (const listener of listeners) listener({ owner, name, position, isWider });
  }

  function of(owner: Address, name: string): Visibility {
    if (name.endsWith("*")) return widestOf(name);
    return ofDomain.get(name) ?? shipped.get(name) ?? ownOf(owner, name) ?? visibilityOfUnknown;
  }

  function ownOf(owner: Address, name: string): Visibility | undefined {
    return own.size === 0 ? undefined : own.get(ownKey(owner, name));
  }

  function widestOf(pattern: string): Visibility {
    const matches = matchNames([pattern]);
    for (const name of [...ofDomain.keys(), ...shipped.keys()]) {
      if (matches(name) && (ofDomain.get(name) ?? shipped.get(name)) === "public") return "public";
    }
    return visibilityOfUnknown;
  }

  return {
    of,
    hasOwn: (owner, name) => ownOf(owner, name) !== undefined,
    ownersOf(name) {
      const ending = ` ${name}`;
      return [...own.keys()].filter((key) => key.endsWith(ending)).map((key) => key.slice(0, -ending.length));
    },
    changed: (owner) => Math.max(changes.get("") ?? 0, changes.get(rootOf(owner).text) ?? 0),
    listen(onRetyping) {
      listeners.add(onRetyping);
      return { [Symbol.dispose]: () => void listeners.delete(onRetyping) };
    },
    [Symbol.dispose]: () => following[Symbol.dispose](),
  };
}

function ownKey(owner: Address, name: string): string {
  return `${rootOf(owner).text} ${name}`;
}
