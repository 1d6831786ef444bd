// The gate: so many requests are under way at once, and no owner's keep those of another waiting.
// In: owners that want to send. Out: leave to do so. Never: more than there are places, all places for one owner, or one kept for whoever has left.
//
// An owner may begin another request while it has fewer under way than a part of the places that are free. So the share of
// one is bounded, that of many shrinks by itself, and whoever comes next finds a place. A fixed share would be either too
// small for one owner alone or soon taken up by a few together; a place for whoever has fewest, without a share, comes free
// only when a request that hangs is given up.
import { Line } from "../core/line.ts";

export interface Room {
  /** Requests under way at once, of all owners. */
  readonly places: number;
  /** With 4, an owner may begin while it has fewer under way than a quarter of the places that are free. */
  readonly sharedBy: number;
}

export interface Gate {
  /**
   * One owner's in the order in which they came. Nothing bounds how many wait: that is for whoever lets them ask.
   * @returns what gives the place back, to be called once; undefined once the signal comes
   */
  enter(owner: string, signal: AbortSignal): Promise<(() => void) | undefined>;
}

interface Owner {
  readonly name: string;
  underWay: number;
  /** What begins each of its requests that wait. */
  readonly waiting: Line<() => void>;
  /** Takes it out of the line that it stands in while any wait. */
  stepOut: (() => void) | undefined;
}

/** Each entry and each end costs the same, however many wait. */
export function openGate({ places, sharedBy }: Room): Gate {
  let free = places;
  const owners = new Map<string, Owner>();
  /** Owners that wait, by how many each has under way: by the rule never more than this. */
  const mostUnderWay = Math.ceil(places / (sharedBy + 1));
  const lines = Array.from({ length: mostUnderWay + 1 }, () => new Line<Owner>());

  /** So many more are under way: the owner stands last among those that have as many, or nowhere if none of its wait. */
  function count(owner: Owner, more: -1 | 0 | 1): void {
    owner.stepOut?.();
    owner.underWay += more;
    free -= more;
    owner.stepOut = owner.waiting.front && standInLine(owner);
    if (owner.underWay === 0 && owner.waiting.front === undefined) owners.delete(owner.name);
  }

  function standInLine(owner: Owner): () => void {
    return (lines[owner.underWay] as Line<Owner>).join(owner);
  }

  function begin(owner: Owner): () => void {
    count(owner, 1);
    return () => {
      count(owner, -1);
      nextAfter(owner)?.waiting.front?.();
    };
  }

  /**
   * Nobody waits who may begin. So one place more lets those begin that have just as many under way as the rule forbade
   * until now, and the owner that gave it back, if it has fewer still; and once one has begun, none of the others may.
   */
  function nextAfter(owner: Owner): Owner | undefined {
    const forbidden = (free - 1) / sharedBy;
    // Where that is no whole number, nobody has just as many.
    return owner.stepOut && owner.underWay < forbidden ? owner : lines[forbidden]?.front;
  }

  return {
    async enter(name, signal) {
      if (signal.aborted) return undefined;
      const owner = owners.get(name) ?? { name, underWay: 0, waiting: new Line(), stepOut: undefined };
      owners.set(name, owner);
      if (owner.underWay * sharedBy < free) return begin(owner);
      return await new Promise((resolve) => {
        const go = (): void => {
          leave();
          signal.removeEventListener("abort", giveUp);
          // Taken in the same moment, so that nobody gets in between.
          resolve(begin(owner));
        };
        const giveUp = (): void => {
          leave();
          if (owner.waiting.front === undefined) count(owner, 0);
          resolve(undefined);
        };
        const leave = owner.waiting.join(go);
        owner.stepOut ??= standInLine(owner);
        signal.addEventListener("abort", giveUp, { once: true });
      });
    },
  };
}
