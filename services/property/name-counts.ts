// Name counts: how many properties each node holds, so that none grows past its limit.
// In: the feed, and the log for nodes not yet counted. Out: room for a new name, or a Refusal. Never: a count kept for every node.
import type { Address } from "../core/address.ts";
import { isTombstoneBody } from "../core/fact.ts";
import { Refusal } from "../core/refusal.ts";
import type { Follower } from "../store/follower.ts";
import type { Fact, Log } from "../store/log.ts";
import { escapeToken, factsOfNode } from "../store/subjects.ts";

export interface Room extends Disposable {
  /** Asserts that the node has room for this new name. @throws Refusal */
  require(name: string): void;
  /** Counts the names from now on: they are in the log. */
  keep(): void;
}

export interface NameCounts extends Disposable {
  /** Holds room for these names until the returned room is disposed of. */
  reserve(node: Address, names: readonly string[]): Promise<Room>;
}

const propertiesMax = 500;
/** Nodes whose names are remembered; the one not written for longest is forgotten first. */
const nodesMax = 10_000;

interface Counted {
  /** Names as the log writes them: nobody needs them in clear. */
  readonly tokens: Set<string>;
  /** Those on their way into the log, by how many requests. */
  readonly reserved: Map<string, number>;
}

export function openNameCounts(log: Log, follower: Follower): NameCounts {
  const nodes = new Map<string, Promise<Counted>>();
  const settled = new Map<string, Counted>();
  const listening = follower.listen({ take });

  function take(fact: Fact): void {
    if (settled.size === 0 || !fact.subject.includes(".property.")) return;
    const counted = settled.get(fact.subject.slice(0, fact.subject.lastIndexOf(".property.")));
    if (counted === undefined) return;
    const token = tokenOf(fact.subject);
    if (isTombstoneBody(fact.body)) counted.tokens.delete(token);
    else counted.tokens.add(token);
  }

  function counted(node: Address): Promise<Counted> {
    const key = nodeKey(node);
    const known = nodes.get(key);
    if (known !== undefined) {
      nodes.delete(key);
      nodes.set(key, known);
      return known;
    }
    const counting = count(node, key);
    nodes.set(key, counting);
    counting.catch(() => nodes.delete(key));
    for (const oldest of nodes.keys()) {
      if (nodes.size <= nodesMax) break;
      nodes.delete(oldest);
      settled.delete(oldest);
    }
    return counting;
  }

  async function count(node: Address, key: string): Promise<Counted> {
    const entry = { tokens: new Set<string>(), reserved: new Map<string, number>() };
    // From here on the feed keeps it; what the snapshot brings is at least as new as what the feed brought before.
    settled.set(key, entry);
    const { facts } = await log.snapshot([factsOfNode(node, "property")]);
    for (const fact of facts) {
      if (!isTombstoneBody(fact.body)) entry.tokens.add(tokenOf(fact.subject));
    }
    return entry;
  }

  return {
    async reserve(node, names) {
      const { tokens: present, reserved } = await counted(node);
      const tokens = names.map(escapeToken);
      for (const name of tokens) reserved.set(name, (reserved.get(name) ?? 0) + 1);
      return {
        require(name) {
          if (present.has(escapeToken(name))) return;
          let total = present.size;
          for (const other of reserved.keys()) if (!present.has(other)) total++;
          if (total > propertiesMax) {
            throw new Refusal("too-many-properties", `The node holds ${present.size} properties.`);
          }
        },
        keep() {
          for (const name of tokens) present.add(name);
        },
        [Symbol.dispose]() {
          for (const name of tokens) {
            const left = (reserved.get(name) ?? 1) - 1;
            if (left > 0) reserved.set(name, left);
            else reserved.delete(name);
          }
        },
      };
    },
    [Symbol.dispose]: () => listening[Symbol.dispose](),
  };
}

function tokenOf(subject: string): string {
  return subject.slice(subject.lastIndexOf(".") + 1);
}

function nodeKey(node: Address): string {
  const filter = factsOfNode(node, "property");
  return filter.slice(0, -".property.*".length);
}
