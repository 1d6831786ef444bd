// Routes: how far somebody who asks for a node is led along its forwards.
// In: who looks, at which node, at which names, perhaps when it left. Out: where it is led to. Never: a step past an owner who grants it nothing; whoever is not let in learns of no forward.
//
// Each step asks both ends: a forward is a word of its owner, so that it is told to nobody whom the owner grants nothing;
// and who is let in at the other end, that end's owner decides.
import { type Address, rootOf } from "../core/address.ts";
import type { Grantable } from "../core/policy.ts";
import { after, all, type Soon } from "../core/soon.ts";
import type { Access, Look } from "../property/properties.ts";
import { nodeOf } from "../store/decoded.ts";
import type { Heads } from "../store/heads.ts";
import { subjectOf } from "../store/subjects.ts";
import type { ForwardBook } from "./book.ts";

export interface Route {
  readonly at: Address;
  /** When the first of the forwards on the way ends; undefined: none ends by itself. */
  readonly untilMs: number | undefined;
  /** All nodes whose owners have a say in it; none where nothing is forwarded. */
  readonly along: readonly Address[];
  /** Whether the node that was asked for grants anything: whoever is granted nothing there must not hear of a way back either. */
  readonly isOpen: boolean;
  /** Whoever left at `since` may have left from elsewhere, or knows less. */
  readonly isNews: boolean;
  /** Where it may have stood, when the forward to there holds no more. */
  readonly left: Address | undefined;
}

export interface Question {
  readonly look: Look;
  readonly node: Address;
  /** Names and patterns. */
  readonly names: readonly string[];
  readonly right: Extract<Grantable, "read" | "watch">;
  /** The position at which it left. */
  readonly since?: number | undefined;
}

export interface RouteDeps {
  readonly book: ForwardBook;
  readonly access: Pick<Access, "judge" | "hasChanged" | "hasLifted" | "hiddenSince">;
  readonly heads: Pick<Heads, "get">;
}

/** A node as the log knows it. */
interface Found {
  readonly isThere: boolean;
  readonly position: number;
}

const nowhere: Found = { isThere: false, position: 0 };

export function openRoutes({ book, access, heads }: RouteDeps): (question: Question) => Soon<Route> {
  function find(node: Address): Soon<Found> {
    return after(heads.get(subjectOf(node, "node")), (fact) =>
      fact === undefined ? nowhere : { isThere: nodeOf(fact) !== undefined, position: fact.position },
    );
  }

  return (question) => {
    const { look, node, since } = question;
    const straight = {
      at: node,
      untilMs: undefined,
      along: [],
      isOpen: true,
      isNews: false,
      left: undefined,
    };
    if (!book.knows(node) || look.caller?.address.text === rootOf(node).text) return straight;
    const { hops, along } = book.chain(node);
    return after(all(along.map(find)), (found) => {
      const reached = walk(question, along, hops.length, found);
      const at = along[reached] as Address;
      const untils = hops.slice(0, reached).flatMap(({ untilMs }) => untilMs ?? []);
      const route = {
        at,
        untilMs: untils.length === 0 ? undefined : Math.min(...untils),
        along: along.length === 1 ? [] : along,
        isOpen: grants(question, node),
        isNews: false,
        left: undefined,
      };
      if (since === undefined) return route;
      const past = book.since(at, since);
      return after(all(past.to.map(find)), (there) => {
        // A chain that leads nowhere did so then, if nobody has changed anything of it.
        const isDead = hops.length < along.length - 1 && along.every((one) => book.changed(one) <= since);
        const gone = past.to.filter(
          (to, index) => !isDead && mayHaveGone(question, since, at, to, there[index] ?? nowhere),
        );
        const other = gone.findLast(({ text }) => text !== hops[reached]?.to.text);
        const isOff = past.isCut && mayHaveBeenGranted(question, at, since);
        const isBack = reached === 0 && route.isOpen && (other !== undefined || isOff);
        return {
          ...route,
          isNews: isOff || gone.length > 0 || hasShifted(question, since, along.slice(0, reached + 1), found),
          left: isBack ? (other ?? node) : undefined,
        };
      });
    });
  };

  /** @returns how many steps it is led */
  function walk(
    question: Question,
    along: readonly Address[],
    steps: number,
    found: readonly Found[],
  ): number {
    if (steps === 0 || !grants(question, along[0] as Address)) return 0;
    let reached = 0;
    while (reached < steps) {
      if (!found[reached + 1]?.isThere || !grants(question, along[reached + 1] as Address)) break;
      reached++;
    }
    return reached;
  }

  function grants({ look, names, right }: Question, node: Address): boolean {
    return names.some((name) => access.judge(look, node, name, right).is === "granted");
  }

  /** Whether an owner has decided something about it since. */
  function hasDecided(question: Question, node: Address, since: number): boolean {
    const { look, names } = question;
    if (access.hasChanged(look, node, since)) return true;
    if (grants(question, node)) return access.hasLifted(node, since);
    return names.some((name) => (access.hiddenSince(look, node, name) ?? 0) > since);
  }

  function mayHaveBeenGranted(question: Question, node: Address, since: number): boolean {
    return grants(question, node) || hasDecided(question, node, since);
  }

  /** Whether it may have gone on from one node to another, or been on its way there when it was cut off. */
  function mayHaveGone(
    question: Question,
    since: number,
    from: Address,
    to: Address,
    { isThere, position }: Found,
  ): boolean {
    if (!isThere && position <= since) return false;
    return mayHaveBeenGranted(question, from, since) && mayHaveBeenGranted(question, to, since);
  }

  /** Whether the way that it is led now may have been another one then. */
  function hasShifted(
    question: Question,
    since: number,
    way: readonly Address[],
    found: readonly Found[],
  ): boolean {
    if (way.length === 1) return false;
    return way.some((node, index) => {
      const isLast = index === way.length - 1;
      if (!isLast && book.changed(node) > since) return true;
      if (index > 0 && (found[index]?.position ?? 0) > since) return true;
      return hasDecided(question, node, since);
    });
  }
}
