// Acquaintance: whether a reader that comes with a cursor was ever let in where it goes on.
// In: where it left off, what the owners were told of it. Out: where it begins. Never: a reset, or an end of something, for whoever never saw anything there: it would tell a block, or a decision, from an absence.
//
// A cursor says where a reader stood in the log, and not what it was shown: whoever watches itself gets one. What was
// shown to whom its owner was told before (notices.ts), and the log remembers that for as long as cursors are honoured.
import { type Address, rootOf } from "../core/address.ts";
import { actorOf } from "../core/principal.ts";
import type { Soon } from "../core/soon.ts";
import type { Forwarding } from "../forward/forwarding.ts";
import type { Access } from "../property/properties.ts";
import { hasShifted, type Way } from "./following.ts";
import type { Start } from "./history.ts";
import type { Notices } from "./notices.ts";
import { anonymous, type WatcherFact, wasLetIn, watcherOf } from "./watcher-facts.ts";

export interface Acquaintance {
  /** Where a reader begins on this way that left off there: as one that knows nothing, where it was never let in. */
  startOf(way: Way, left: Start): Soon<Start>;
}

export interface AcquaintanceDeps {
  readonly access: Pick<Access, "judge" | "hasChanged">;
  readonly forwarding: Pick<Forwarding, "follow">;
  readonly notices: Pick<Notices, "of">;
  readonly now: () => number;
}

/** Thousands may come back to one owner at the same time. */
const rememberedMs = 1_000;
const rememberedMax = 100;

interface Told {
  readonly atMs: number;
  readonly facts: Promise<readonly WatcherFact[]>;
}

export function openAcquaintance(deps: AcquaintanceDeps): Acquaintance {
  const { access, forwarding, notices, now } = deps;
  const remembered = new Map<string, Told>();

  /** Whether what it is told depends on what it was shown before. */
  function depends(way: Way, position: number): boolean {
    const { look, node, names, right } = way;
    if (look.caller?.address.text === rootOf(node).text) return false;
    const isBlocked = names.some((name) => "block" in access.judge(look, node, name, right).ground);
    return isBlocked || hasShifted(deps, way, position);
  }

  function toldTo(owner: Address): Promise<readonly WatcherFact[]> {
    const present = remembered.get(owner.text);
    if (present && now() - present.atMs < rememberedMs) return present.facts;
    const facts = notices
      .of(owner)
      .then((found) => found.map(watcherOf).filter((one): one is WatcherFact => one !== undefined));
    remembered.delete(owner.text);
    remembered.set(owner.text, { atMs: now(), facts });
    const [oldest] = remembered.keys();
    if (remembered.size > rememberedMax) remembered.delete(oldest as string);
    facts.catch(() => remembered.delete(owner.text));
    return facts;
  }

  async function hasSeen({ look, names }: Way, node: Address): Promise<boolean> {
    const watcher = look.caller ? actorOf(look.caller).text : anonymous;
    const facts = (await toldTo(rootOf(node))).filter(
      (one) => one.watcher === watcher && one.node === node.text && wasLetIn(one),
    );
    return names.every((name) => facts.some(({ properties }) => properties.some((one) => covers(one, name))));
  }

  /** Where the way leads, and where it may have led before, it may have been let in as well. */
  async function hasBeen(way: Way, since: number): Promise<boolean> {
    const { at, along, left } = await forwarding.follow({ ...way, since });
    const nodes = new Map([way.node, at, ...along, ...(left ? [left] : [])].map((node) => [node.text, node]));
    for (const node of nodes.values()) if (await hasSeen(way, node)) return true;
    return false;
  }

  return {
    startOf(way, left) {
      const { position, text } = left;
      if (position === undefined || !depends(way, position)) return left;
      const unknown = { text, position: undefined, isLost: false };
      return hasBeen(way, position).then((isKnown) => (isKnown ? left : unknown));
    },
  };
}

/** Whether a pattern selects whatever the other one does. */
function covers(pattern: string, other: string): boolean {
  return (
    pattern === "*" || pattern === other || (pattern.endsWith(".*") && other.startsWith(pattern.slice(0, -1)))
  );
}
