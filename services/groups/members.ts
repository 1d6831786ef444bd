// Members: who belongs to which group, as of the place that the feed has come to.
// In: member facts, in log order. Out: members of a group, groups of an account, and word of each coming and going. Never: whoever still asks to be let in.
import type { Follower } from "../store/follower.ts";
import type { Fact } from "../store/log.ts";
import { placeOf } from "../store/subjects.ts";
import { membershipOf } from "./member-facts.ts";

/** Somebody joined a group, or left it, at a position in the log. */
export interface MemberTurn {
  readonly group: string;
  readonly member: string;
  readonly isMember: boolean;
  readonly position: number;
}

export interface Members extends Disposable {
  has(group: string, member: string): boolean;
  /** Where in the log each member joined, by its address. */
  of(group: string): ReadonlyMap<string, number>;
  /** Where in the log an account joined each of its groups, by the group's address. */
  groupsOf(member: string): ReadonlyMap<string, number>;
  /** Told before any fact that comes later in the log is. */
  listen(onTurn: (turn: MemberTurn) => void): Disposable;
}

const nobody: ReadonlyMap<string, number> = new Map();

export function openMembers(follower: Follower): Members {
  const byGroup = new Map<string, Map<string, number>>();
  const byMember = new Map<string, Map<string, number>>();
  const listeners = new Set<(turn: MemberTurn) => void>();
  const following = follower.listen({ take });

  function take(fact: Fact): void {
    if (!fact.subject.includes(".member.")) return;
    const { address, kind, name: member } = placeOf(fact.subject);
    if (kind !== "member") return;
    const group = address.text;
    const isMember = membershipOf(fact)?.standing === "member";
    if (isMember === has(group, member)) return;
    const { position } = fact;
    if (isMember) {
      enter(byGroup, group, member, position);
      enter(byMember, member, group, position);
    } else {
      leave(byGroup, group, member);
      leave(byMember, member, group);
    }
    for (const listener of listeners) listener({ group, member, isMember, position });
  }

  function has(group: string, member: string): boolean {
    return byGroup.get(group)?.has(member) ?? false;
  }

  return {
    has,
    of: (group) => byGroup.get(group) ?? nobody,
    groupsOf: (member) => byMember.get(member) ?? nobody,
    listen(onTurn) {
      listeners.add(onTurn);
      return { [Symbol.dispose]: () => void listeners.delete(onTurn) };
    },
    [Symbol.dispose]: () => following[Symbol.dispose](),
  };
}

type Index = Map<string, Map<string, number>>;

function enter(index: Index, of: string, one: string, position: number): void {
  const beside = index.get(of);
  if (beside) beside.set(one, position);
  else index.set(of, new Map([[one, position]]));
}

function leave(index: Index, of: string, one: string): void {
  const beside = index.get(of);
  beside?.delete(one);
  if (beside?.size === 0) index.delete(of);
}
