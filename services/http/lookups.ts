// Lookups: whatever tells whether somebody is at an address, by reading or by watching, under one quota of wrong guesses.
// In: who asks, for which addresses. Out: what was asked for, or a Refusal. Never: a difference between what is hidden and what is not there; a guess about one's own nodes counted.
import { type Address, rootOf } from "../core/address.ts";
import type { Caller } from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import { type Look, nothingDisclosed } from "../property/properties.ts";
import type { Standing, WatchWish } from "../watch/watching.ts";
import { type EnumerationLimit, openEnumeration } from "./enumeration.ts";
import { type Asker, askerKey, type Quotas } from "./quotas.ts";

export type Wished = Pick<WatchWish, "whom" | "properties" | "disclosed">;

export interface Lookups {
  /** Reads what is there; `not-found` counts. @throws Refusal, and what `read` throws */
  read<T>(who: Asker, address: Address, read: () => Promise<T>): Promise<T>;
  /** Before they are watched; what would be `pending` counts. Each but the first costs a request more. @throws Refusal */
  watch(who: Asker, wished: readonly Wished[]): Promise<void>;
}

export interface LookupDeps {
  readonly limit: EnumerationLimit;
  readonly quotas: Quotas;
  readonly now: () => number;
  readonly onRefused: (quota: string) => void;
  /** What decides between `active` and `pending`. */
  readonly standing: Pick<Standing, "ofAnybody">;
}

export const freeLookups: Lookups = {
  read: async (_who, _address, read) => await read(),
  watch: async () => undefined,
};

export function openLookups({ limit, quotas, now, onRefused, standing }: LookupDeps): Lookups {
  const enumeration = openEnumeration(limit, now);

  function admit(caller: string, target: string): void {
    try {
      enumeration.admit(caller, target);
    } catch (error) {
      onRefused("unknown targets");
      throw error;
    }
  }

  /** Whoever used up its guesses while this one was on its way learns nothing more, whatever was found. */
  function answered(caller: string, target: string, isThere: boolean): void {
    admit(caller, target);
    if (!isThere) enumeration.missed(caller, target);
  }

  return {
    async read(who, address, read) {
      if (owns(who.caller, address)) return await read();
      const key = askerKey(who);
      admit(key, address.text);
      try {
        const found = await read();
        answered(key, address.text, true);
        return found;
      } catch (error) {
        if (error instanceof Refusal && error.code === "not-found") answered(key, address.text, false);
        throw error;
      }
    },
    async watch(who, wished) {
      if (wished.length > 1) quotas.take("requests", who, wished.length - 1);
      const others = wished.filter(
        ({ whom }) => !("query" in whom) && !("address" in whom && owns(who.caller, whom.address)),
      );
      const key = askerKey(who);
      for (const one of others) admit(key, targetOf(one));
      const states = await Promise.all(others.map((one) => standing.ofAnybody(one, lookOf(who.caller, one))));
      for (const [index, one] of others.entries()) answered(key, targetOf(one), states[index] === "active");
    },
  };
}

function owns(caller: Caller, address: Address): boolean {
  return caller !== undefined && rootOf(address).text === caller.address.text;
}

function lookOf(caller: Caller, { disclosed = nothingDisclosed }: Wished): Look {
  return { caller, via: "", disclosed };
}

function targetOf({ whom }: Wished): string {
  if ("query" in whom) return "";
  return "address" in whom ? whom.address.text : `mailto:${whom.email}`;
}
