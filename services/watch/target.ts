// Targets: what is watched, and where in the log its facts lie.
// In: an address, a depth, names, perhaps a filter. Out: filters of the log and keys of the hub's index. Never: a read.
import { type Address, type Depth, isWithin } from "../core/address.ts";
import type { Json } from "../core/json.ts";
import { factsOfEveryPath, factsOfNode, subjectOf } from "../store/subjects.ts";
import type { Filter } from "./filter.ts";

export interface Target {
  readonly node: Address;
  readonly depth: Depth;
  /** Names and patterns; none selects all. */
  readonly properties: readonly string[];
  readonly filter?: Filter | undefined;
  /** What the watcher discloses of its own to whoever asks for it. */
  readonly disclosed?: ReadonlyMap<string, Json> | undefined;
  /** Whether the watcher keeps it for longer than its stream is open. */
  readonly isKept?: boolean;
  /** A member of a group that is watched: its owner knows of it by the group. */
  readonly isGathered?: boolean;
  /** Whether it is one of the watcher's contacts, watched as a whole. */
  readonly isOfRoster?: boolean;
  /** Where in the log it was first kept: from there on messages to its watchers wait for it. */
  readonly made?: number | undefined;
}

/** What selects the target's facts, and those of nodes beside it, from the log. */
export function logFilters({ node, depth }: Target): readonly string[] {
  return depth === "0"
    ? [factsOfNode(node, "property"), subjectOf(node, "node")]
    : [factsOfEveryPath(node, "property"), factsOfEveryPath(node, "node")];
}

export function reaches({ node, depth }: Target, address: Address): boolean {
  const isAccount = address.local === node.local && address.domain === node.domain;
  return isAccount && isWithin(address.path, node.path, depth);
}

/** Where the hub looks for who watches: one node, or with a `*` all nodes of an account. */
export function placeKey({ node, depth }: Target): string {
  const key = nodeKey(subjectOf(node, "node"));
  return depth === "0" ? key : treeKey(key);
}

/** What all facts of a node begin with. */
export function nodeKey(subject: string): string {
  return subject.slice(0, subject.lastIndexOf(".", subject.lastIndexOf(".") - 1));
}

/** The same for all nodes of the account. */
export function treeKey(key: string): string {
  return `${key.slice(0, key.lastIndexOf("."))}.*`;
}

/** Those that are watched by themselves: one contact who blocks does not end what the others tell. */
export function single(targets: readonly Target[]): readonly Target[] {
  return targets.filter(({ isOfRoster = false }) => !isOfRoster);
}
