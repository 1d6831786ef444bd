// Name counts: how many properties each node holds, so that none grows past its limit.
// In: the feed, and the log for nodes not yet counted. Out: room for a new name, or a Refusal. Never: a count kept for every node.
import type { Address } from "../core/address.ts";
import { isTombstone, isTombstoneBody } from "../core/fact.ts";
import { Refusal } from "../core/refusal.ts";
import { after, type Soon } from "../core/soon.ts";
import { stateOf } from "../store/decoded.ts";
import type { Follower } from "../store/follower.ts";
import type { Fact, Log } from "../store/log.ts";
import { escapeToken, factsOfNode } from "../store/subjects.ts";
import type { Leases } from "./leases.ts";

/** What it was asked for it holds until it is disposed of. */
export interface Room extends Disposable {
  /** Holds room for this new name. @throws Refusal where the node has none */
  require(name: string): void;
  /** Counts what it holds from now on: it is in the log. */
  keep(): void;
}

export interface NameCounts extends Disposable {
  /** Whether somebody has lately asked for room at this node. */
  knows(node: Address): boolean;
  /** @param leaving names whose places are free once the others are there */
  roomAt(node: Address, leaving?: readonly string[]): Soon<Room>;
}

const propertiesMax = 500;
/** Nodes whose names are remembered; those not written for lately are forgotten first. */
const nodesMax = 10_000;

interface Counted {
  /** Names as the log writes them: nobody needs them in clear. */
  readonly tokens: Set<string>;
  /** Those on their way into the log, by how many requests. */
  readonly reserved: Map<string, number>;
  /** Undefined once all names are known. */
  counting: Promise<unknown> | undefined;
  /** Names that ended since the counting began. */
  readonly ended: Set<string>;
  /** Written for since it was last looked over: it stays for another round. */
  used: boolean;
}

export function openNameCounts(log: Log, follower: Follower, { stands }: Pick<Leases, "stands">): NameCounts {
  const nodes = new Map<string, Counted>();
  const listening = follower.listen({ take });

  function take(fact: Fact): void {
    if (nodes.size === 0 || !fact.subject.includes(".property.")) return;
    // What is told as part of something larger leaves a name where it was, or takes it away.
    if (fact.basis && !isGone(fact)) return;
    const counted = nodes.get(fact.subject.slice(0, fact.subject.lastIndexOf(".property.")));
    if (counted === undefined) return;
    const token = tokenOf(fact.subject);
    if (!isGone(fact)) {
      counted.tokens.add(token);
      counted.ended.delete(token);
      return;
    }
    counted.tokens.delete(token);
    if (counted.counting) counted.ended.add(token);
  }

  function counted(node: Address): Soon<Counted> {
    const key = nodeKey(node);
    const known = nodes.get(key);
    if (known !== undefined) {
      known.used = true;
      return known.counting === undefined ? known : known.counting.then(() => known);
    }
    makeRoom();
    // From here on the feed keeps it.
    const entry: Counted = {
      tokens: new Set(),
      reserved: new Map(),
      counting: undefined,
      ended: new Set(),
      used: true,
    };
    nodes.set(key, entry);
    const counting = count(node, entry).catch((error: unknown) => {
      if (nodes.get(key) === entry) nodes.delete(key);
      throw error;
    });
    entry.counting = counting;
    return counting.then(() => entry);
  }

  async function count(node: Address, entry: Counted): Promise<void> {
    const { facts, position } = await log.snapshot([factsOfNode(node, "property")]);
    // What ended many leases at once is known from the feed alone.
    await follower.known(position);
    for (const fact of facts) {
      const token = tokenOf(fact.subject);
      if (!isGone(stands(fact, position)) && !entry.ended.has(token)) entry.tokens.add(token);
    }
    entry.ended.clear();
    entry.counting = undefined;
  }

  function makeRoom(): void {
    for (const [key, entry] of nodes) {
      if (nodes.size < nodesMax) return;
      nodes.delete(key);
      if (!entry.used) continue;
      entry.used = false;
      nodes.set(key, entry);
    }
  }

  return {
    knows: (node) => nodes.has(nodeKey(node)),
    roomAt: (node, leaving = []) => after(counted(node), (entry) => new HeldRoom(entry, leaving)),
    [Symbol.dispose]: () => listening[Symbol.dispose](),
  };
}

/** Mostly nothing new is held: what holds it is made when it is. */
class HeldRoom implements Room {
  readonly #counted: Counted;
  readonly #leaving: readonly string[];
  #held: Set<string> | undefined;

  constructor(counted: Counted, leaving: readonly string[]) {
    this.#counted = counted;
    this.#leaving = leaving;
  }

  require(name: string): void {
    const { tokens: present, reserved } = this.#counted;
    const token = escapeToken(name);
    if (present.has(token)) return;
    this.#held ??= new Set();
    if (!this.#held.has(token)) {
      this.#held.add(token);
      reserved.set(token, (reserved.get(token) ?? 0) + 1);
    }
    let total = present.size;
    for (const other of reserved.keys()) if (!present.has(other)) total++;
    for (const place of new Set(this.#leaving.map(escapeToken))) if (present.has(place)) total--;
    if (total > propertiesMax)
      throw new Refusal("too-many-properties", `The node holds ${present.size} properties.`);
  }

  keep(): void {
    for (const token of this.#held ?? []) this.#counted.tokens.add(token);
  }

  [Symbol.dispose](): void {
    const { reserved } = this.#counted;
    for (const token of this.#held ?? []) {
      const left = (reserved.get(token) ?? 1) - 1;
      if (left > 0) reserved.set(token, left);
      else reserved.delete(token);
    }
  }
}

function isGone(fact: Fact): boolean {
  return fact.decoded ? isTombstone(stateOf(fact)) : isTombstoneBody(fact.body);
}

function tokenOf(subject: string): string {
  return subject.slice(subject.lastIndexOf(".") + 1);
}

function nodeKey(node: Address): string {
  const filter = factsOfNode(node, "property");
  return filter.slice(0, -".property.*".length);
}
