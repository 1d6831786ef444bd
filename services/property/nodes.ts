// Nodes: created under an account, deleted with everything under them.
// In: an address and a kind. Out: facts about nodes. Never: a property that outlives its node.
import { type Address, parentOf } from "../core/address.ts";
import type { Joining, NodeFact } from "../core/fact.ts";
import type { NodeKind } from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import { nodeOf } from "../store/decoded.ts";
import type { Follower } from "../store/follower.ts";
import type { Heads } from "../store/heads.ts";
import { Conflict, type Fact, type Log, LogUnavailable, onceApplied } from "../store/log.ts";
import { factsOfNode, factsOfTree, placeOf, subjectOf } from "../store/subjects.ts";
import { isLive, isLiveNode, tombstones } from "./appends.ts";
import type { Changes } from "./change.ts";
import type { Leases } from "./leases.ts";

export interface NodeService extends Disposable {
  /** @param joining how others become members of a group; as before, if absent. @throws Refusal `no-parent` */
  create(address: Address, kind: NodeKind, joining?: Joining): Promise<{ created: boolean }>;
  /** The node, its properties and all nodes under it; nothing happens where there is none. */
  remove(address: Address): Promise<void>;
  exists(address: Address): Promise<boolean>;
  /** The same, whatever this broker remembers. */
  existsInStore(address: Address): Promise<boolean>;
}

export interface NodeDeps {
  readonly log: Log;
  readonly heads: Heads;
  readonly follower: Pick<Follower, "known" | "listen">;
  readonly changes: Changes;
  readonly leases: Pick<Leases, "stands">;
  /** Whether this broker has written to the node lately. */
  readonly writesTo: (node: Address) => boolean;
  readonly now: () => number;
  readonly keeper: string;
  readonly onTrouble: (message: string) => void;
}

/** Facts of a tree that are removed in one append; the server takes 1,000. */
const removedAtOnce = 500;
const removalRoundsMax = 100;

export function openNodes(deps: NodeDeps): NodeService {
  const { log, heads, follower, changes, leases, writesTo, now, keeper, onTrouble } = deps;
  const listening = follower.listen({
    take(fact) {
      if (!fact.subject.includes(".node.") || isLiveNode(fact)) return;
      const { address } = placeOf(fact.subject);
      if (!writesTo(address)) return;
      // What this broker wrote in between did not know of it.
      clear(address, fact.position).catch((error: Error) =>
        onTrouble(`a deleted node still holds properties: ${error.message}`),
      );
    },
  });

  async function create(address: Address, kind: NodeKind, joining?: Joining): Promise<{ created: boolean }> {
    const subject = subjectOf(address, "node");
    const parent = address.path.length === 0 ? undefined : subjectOf(parentOf(address), "node");
    const { outcome, first } = await changes.change({
      writes: [subject],
      reads: parent ? [parent] : [],
      decide: (known) => {
        if (parent && !isLiveNode(known.get(parent))) {
          throw new Refusal("no-parent", `There is no node ${parentOf(address).text}.`);
        }
        const fact = known.get(subject);
        const present = fact && nodeOf(fact);
        if (parent === undefined && present && present.nodeKind !== kind)
          throw new Refusal("forbidden", "An account's own node keeps the kind that it was made with.");
        const isSame = joining === undefined || joining === present?.joining;
        if (present?.nodeKind === kind && isSame) return { appends: [], outcome: false };
        const joins = kind === "group" ? (joining ?? present?.joining) : undefined;
        const node: NodeFact = {
          nodeKind: kind,
          createdMs: present?.createdMs ?? Math.floor(now()),
          ...(joins && { joining: joins }),
        };
        const append = { subject, body: JSON.stringify(node), expected: fact?.position ?? 0 };
        return { appends: [append], outcome: present === undefined };
      },
    });
    if (outcome) await onceApplied(clear(address, 0, first));
    if (parent && first > 0) await onceApplied(undoUnlessUnder(parent, address, first));
    return { created: outcome };
  }

  /** Ends what was written between the end of a node and its next beginning, by brokers that had yet to hear of the end. */
  async function clear(address: Address, after: number, before?: number): Promise<void> {
    const nodeSubject = subjectOf(address, "node");
    for (let round = 0; round < removalRoundsMax; round++) {
      const { facts, position } = await log.snapshot([nodeSubject, factsOfNode(address, "property")]);
      await follower.known(position);
      const node = facts.find(({ subject }) => subject === nodeSubject);
      const until = before ?? (isLiveNode(node) ? (node?.position ?? 0) : Number.POSITIVE_INFINITY);
      const left = facts
        .filter((fact) => fact !== node && fact.position > after && fact.position < until)
        .map((fact) => leases.stands(fact, position))
        .filter(isLive);
      if (left.length === 0) return;
      try {
        await heads.append(tombstones(new Map(left.map((fact) => [fact.subject, fact])), keeper));
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
      }
    }
    throw new LogUnavailable("others kept writing under the node");
  }

  /** The parent may have been deleted while this was on its way: then what is under it goes as well. */
  async function undoUnlessUnder(parent: string, address: Address, position: number): Promise<void> {
    await follower.known(position);
    if (isLiveNode(await heads.get(parent))) return;
    await remove(address);
    throw new Refusal("no-parent", `There is no node ${parentOf(address).text} any more.`);
  }

  async function remove(address: Address): Promise<void> {
    let isBegun = false;
    const then = <T>(step: Promise<T>): Promise<T> => (isBegun ? onceApplied(step) : step);
    for (let round = 0; round < removalRoundsMax; round++) {
      const { facts, position } = await then(log.snapshot([factsOfTree(address)]));
      // What ended many leases at once is known from the feed alone.
      await then(Promise.resolve(follower.known(position)));
      const live = facts
        .map((fact) => leases.stands(fact, position))
        .filter((fact) => lies(fact, address) && isLive(fact));
      if (live.length === 0) return;
      // The nodes first: from then on nothing new is written under them.
      live.sort((a, b) => Number(b.subject.includes(".node.")) - Number(a.subject.includes(".node.")));
      for (let from = 0; from < live.length; from += removedAtOnce) {
        const known = new Map(live.slice(from, from + removedAtOnce).map((fact) => [fact.subject, fact]));
        const appends = tombstones(known, keeper);
        try {
          await then(heads.append(appends));
          isBegun = true;
        } catch (error) {
          if (!(error instanceof Conflict)) throw error;
          // Somebody wrote meanwhile; the next round sees it.
        }
      }
    }
    throw new LogUnavailable("others kept writing under the node");
  }

  return {
    create,
    remove,
    exists: async (address) => isLiveNode(await heads.get(subjectOf(address, "node"))),
    [Symbol.dispose]: () => listening[Symbol.dispose](),
    existsInStore: async (address) => isLiveNode(await heads.refresh(subjectOf(address, "node"))),
  };
}

function lies(fact: Fact, under: Address): boolean {
  const { path } = placeOf(fact.subject).address;
  return under.path.every((segment, index) => path[index] === segment);
}
