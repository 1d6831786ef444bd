// Commands: what simulated clients ask for, and each attempt at it.
// In: the property service of a broker. Out: its answer. Never: a judgement; judge.ts makes that.
import { AsyncLocalStorage } from "node:async_hooks";
import type { Address, Depth, PropertyName } from "../../services/core/address.ts";
import type { Principal } from "../../services/core/principal.ts";
import {
  type Condition,
  nothingDisclosed,
  type PropertyService,
  type Terms,
  type ValueWish,
} from "../../services/property/properties.ts";

export type Wish =
  | {
      readonly kind: "set";
      readonly name: PropertyName;
      readonly wish: ValueWish;
      readonly revision?: Condition["revision"];
    }
  | {
      readonly kind: "patch";
      readonly set: ReadonlyMap<PropertyName, ValueWish>;
      readonly remove: readonly PropertyName[];
    }
  | {
      readonly kind: "remove";
      readonly name: PropertyName;
      readonly view?: string;
      readonly revision?: Condition["revision"];
    }
  | { readonly kind: "renew"; readonly leaseId: string; readonly seconds?: number }
  | { readonly kind: "endLease"; readonly leaseId: string }
  | { readonly kind: "get"; readonly name: PropertyName }
  | { readonly kind: "getNode"; readonly depth: Depth };

export interface Command {
  readonly who: Principal;
  readonly node: Address;
  readonly wish: Wish;
  /** The Idempotency-Key. */
  readonly key?: string;
}

/** How it went, as its client knows: nothing was changed, or nobody can say. */
export type Outcome = "running" | "done" | "nothing" | "unknown";

export interface Attempt {
  readonly number: number;
  readonly command: Command;
  readonly broker: string;
  readonly startMs: number;
  /** Where the tape ended when it began. */
  readonly start: number;
  outcome: Outcome;
}

/** The attempt in whose name code runs: what it appends is entered to its account. */
export const cause = new AsyncLocalStorage<Attempt>();

export function perform(service: PropertyService, attempt: Attempt): Promise<unknown> {
  return cause.run(attempt, () => ask(service, attempt.command));
}

function ask({ writer, renewer, reader }: PropertyService, command: Command): Promise<unknown> {
  const { who, node, wish } = command;
  const look = { caller: who, via: "rest", disclosed: nothingDisclosed };
  switch (wish.kind) {
    case "set":
      return writer.set(who, node, wish.name, wish.wish, termsOf(command));
    case "patch":
      return writer.patch(who, node, wish.set, wish.remove, termsOf(command));
    case "remove":
      return writer.remove(who, node, wish.name, wish.view, termsOf(command));
    case "renew":
      return renewer.renew(who, wish.leaseId, wish.seconds);
    case "endLease":
      return renewer.end(who, wish.leaseId);
    case "get":
      return reader.property(look, node, wish.name);
    case "getNode":
      return reader.node(look, node, { patterns: [], matches: () => true }, wish.depth);
  }
}

function termsOf({ node, wish, key }: Command): Terms {
  const revision = "revision" in wish ? wish.revision : undefined;
  const request = JSON.stringify([node.text, wish], (_, value) =>
    value instanceof Map ? [...value] : value,
  );
  return {
    ...(revision !== undefined && { condition: { revision } }),
    ...(key !== undefined && { once: { key, request } }),
  };
}

export function describeAttempt({ number, command, broker, startMs, start, outcome }: Attempt): string {
  const { node, wish, key } = command;
  const asked = JSON.stringify(wish, (_, value) => (value instanceof Map ? [...value] : value));
  return `#${number} on ${broker} at ${startMs} (tape ${start}) ${node.text} ${asked} key=${key ?? "-"} ${outcome}`;
}
