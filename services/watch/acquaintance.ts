// Acquaintance: whether a reader that comes with a cursor was ever let in where it goes on.
// In: where it left off, what the owners were told of it. Out: where it begins. Never: a reset, or an end of something, for whoever never saw anything there: it would tell a block, or a decision, from an absence.
//
// A cursor says where a reader stood in the log, and not what it was shown: whoever watches itself gets one. Before anything
// was shown its owner was told of it (notices.ts), and the log remembers that for as long as it honours cursors.
import { type Address, rootOf } from "../core/address.ts";
import { actorOf } from "../core/principal.ts";
import type { Soon } from "../core/soon.ts";
import type { Forwarding } from "../forward/forwarding.ts";
import type { Access } from "../property/properties.ts";
import type { Follower } from "../store/follower.ts";
import { TooMuch } from "../store/log.ts";
import { placeOf } from "../store/subjects.ts";
import { hasShifted, type Way } from "./following.ts";
import type { Start } from "./history.ts";
import type { Notices } from "./notices.ts";
import { anonymous, type WatcherFact, wasLetIn, watcherOf } from "./watcher-facts.ts";

export interface Acquaintance extends Disposable {
  /** Where a reader begins on this way that left off there: as one that knows nothing, where it was never let in. */
  startOf(way: Way, left: Start): Soon<Start>;
}

export interface AcquaintanceDeps {
  readonly access: Pick<Access, "judge" | "hasChanged">;
  readonly forwarding: Pick<Forwarding, "follow">;
  readonly notices: Pick<Notices, "of">;
  readonly follower: Pick<Follower, "listen">;
}

/** Thousands may come back to one owner at the same time. */
const rememberedMs = 1_000;
const rememberedMax = 100;
/** An owner of more notices than these is not asked after: then every cursor is believed. */
const charactersMax = 8 * 1024 * 1024;

/** Who was let in at which node. */
type Seen = ReadonlySet<string>;

export function openAcquaintance(deps: AcquaintanceDeps): Acquaintance {
  const { access, forwarding, notices, follower } = deps;
  const remembered = new Map<string, Promise<Seen | undefined>>();
  // Whoever comes with a cursor is asked after once all is known that was acknowledged before (watching.ts).
  const listening = follower.listen({
    take({ subject }) {
      if (remembered.size > 0 && subject.includes(".watcher."))
        remembered.delete(placeOf(subject).address.text);
    },
  });

  /** Whether what it is told depends on what it was shown before. */
  function depends(way: Way, position: number): boolean {
    const { look, node, names, right } = way;
    if (look.caller?.address.text === rootOf(node).text) return false;
    const isBlocked = names.some((name) => "block" in access.judge(look, node, name, right).ground);
    return isBlocked || hasShifted(deps, way, position);
  }

  /** Undefined where there are too many to tell. */
  function seenAt(owner: Address): Promise<Seen | undefined> {
    const { text } = owner;
    const present = remembered.get(text);
    if (present) return present;
    const seen = notices.of(owner, charactersMax).then(
      (facts) => new Set(facts.map(watcherOf).flatMap((one) => (one && wasLetIn(one) ? [keyOf(one)] : []))),
      (error: unknown) => {
        if (error instanceof TooMuch) return undefined;
        throw error;
      },
    );
    remembered.set(text, seen);
    const [oldest] = remembered.keys();
    if (remembered.size > rememberedMax) remembered.delete(oldest as string);
    const forget = (): void => {
      if (remembered.get(text) === seen) remembered.delete(text);
    };
    seen.catch(forget);
    setTimeout(forget, rememberedMs).unref();
    return seen;
  }

  /** At any of its properties: whoever knows one of them learns of a block by that one. */
  async function hasSeen({ look }: Way, node: Address): Promise<boolean> {
    const watcher = look.caller ? actorOf(look.caller).text : anonymous;
    const seen = await seenAt(rootOf(node));
    return seen?.has(keyOf({ watcher, node: node.text })) ?? true;
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
    [Symbol.dispose]: () => listening[Symbol.dispose](),
  };
}

function keyOf({ watcher, node }: Pick<WatcherFact, "watcher" | "node">): string {
  return `${watcher} ${node}`;
}
