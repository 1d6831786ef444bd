// What simulated clients wish for: random commands over few properties, leases and keys, so that they meet.
// In: chance, and what the log holds. Out: commands, new ones and repeated ones. Never: a command without a meaning.
import {
  type Address,
  type Depth,
  parseAddress,
  parsePropertyName,
  rootOf,
} from "../../services/core/address.ts";
import type { Principal } from "../../services/core/principal.ts";
import type { ValueWish } from "../../services/property/properties.ts";
import { subjectOf } from "../../services/store/subjects.ts";
import type { Command, Wish } from "./command.ts";
import { seen } from "./property-model.ts";
import type { Random } from "./random.ts";
import type { Truth } from "./truth.ts";

/** A child first named after its account, so that parents come before children. */
export const nodes: readonly Address[] = [
  "alice@example.com",
  "alice@example.com/bike",
  "bob@example.com",
].map(parseAddress);
const names = ["mood", "place", "task", "note"].map(parsePropertyName);
const leaseIds = ["home", "phone", "car"];
const views = ["", "", "", "phone", "desk"];
const leaseSeconds = [1, 1, 1.5, 2, 3, 5, 30, 600, 3 * 24 * 3600];
/** A key is not repeated for longer than the log remembers it, less the time that a command may take. */
const keyMsMax = 23 * 3600 * 1000;
const repeatableMax = 40;

export const principals: readonly Principal[] = nodes
  .filter(({ path }) => path.length === 0)
  .map((address) => ({
    address,
    kind: "person",
    scopes: ["read", "write", "watch"],
    tokenId: address.local,
  }));

export interface Clients {
  /** The next command: a new one, or one with its key once more. */
  next(): Command;
  /** Sets one property for good and takes the others away, as somebody would who leaves. */
  farewell(): Command;
}

export function openClients(random: Random, truth: Truth, now: () => number): Clients {
  let values = 0;
  let keys = 0;
  const repeatable: { command: Command; sinceMs: number }[] = [];

  function next(): Command {
    if (repeatable.length > 0 && random.chance(0.15)) {
      const again = random.pick(repeatable);
      if (now() - again.sinceMs < keyMsMax) return again.command;
    }
    const node = random.pick(nodes);
    const who = principals.find(({ address }) => address.text === rootOf(node).text) as Principal;
    const wish = anyWish(node);
    const writes = wish.kind === "set" || wish.kind === "patch" || wish.kind === "remove";
    if (!writes || !random.chance(0.5)) return { who, node, wish };
    const command = { who, node, wish, key: `key-${++keys}` };
    repeatable.push({ command, sinceMs: now() });
    if (repeatable.length > repeatableMax) repeatable.shift();
    return command;
  }

  function anyWish(node: Address): Wish {
    const name = random.pick(names);
    const roll = random.int(100);
    if (roll < 32) return { kind: "set", name, wish: value(), ...condition(node, name) };
    if (roll < 44) return patch();
    if (roll < 52) {
      const view = random.chance(0.4) ? { view: random.pick(views) } : {};
      return { kind: "remove", name, ...view, ...condition(node, name) };
    }
    if (roll < 68) {
      const seconds = random.chance(0.3) ? { seconds: random.pick(leaseSeconds) } : {};
      return { kind: "renew", leaseId: random.pick(leaseIds), ...seconds };
    }
    if (roll < 71) return { kind: "endLease", leaseId: random.pick(leaseIds) };
    if (roll < 88) return { kind: "get", name };
    return { kind: "getNode", depth: random.pick<Depth>(["0", "1", "infinity"]) };
  }

  function value(): ValueWish {
    const view = random.pick(views);
    const named = view === "" && random.chance(0.5) ? {} : { view };
    const wish = { value: `value ${++values}`, ...named };
    if (!random.chance(0.6)) return wish;
    const id = random.chance(0.85) ? { id: random.pick(leaseIds) } : {};
    const rest = random.chance(0.3) ? { default: `rest ${values}` } : {};
    return { ...wish, lease: { seconds: random.pick(leaseSeconds), ...id, ...rest } };
  }

  function patch(): Wish {
    const set = new Map<(typeof names)[number], ValueWish>();
    const remove: (typeof names)[number][] = [];
    for (const name of names) {
      const roll = random.int(10);
      if (roll < 5) set.set(name, value());
      else if (roll < 7) remove.push(name);
    }
    return set.size > 0 ? { kind: "patch", set, remove } : patch();
  }

  /** Often the revision that is there, sometimes one that was, or none. */
  function condition(node: Address, name: string): { revision?: number | "any" } {
    if (!random.chance(0.4)) return {};
    const state = truth.states.get(subjectOf(node, "property", name));
    const present = seen(state) ? (state?.revision ?? 0) : 0;
    const roll = random.int(10);
    if (roll === 0) return { revision: "any" };
    if (roll === 1) return { revision: 0 };
    if (roll === 2) return { revision: Math.max(present - random.int(5), 0) };
    return { revision: present };
  }

  function farewell(): Command {
    const [who, node] = [principals.at(-1) as Principal, nodes.at(-1) as Address];
    const [first = names[0] as (typeof names)[number], ...others] = names;
    const set = new Map([[first, { value: `value ${++values}` }]]);
    return { who, node, wish: { kind: "patch", set, remove: others } };
  }

  return { next, farewell };
}
