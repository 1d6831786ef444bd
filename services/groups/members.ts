// Members: who belongs to which group, as of the place that the feed has come to.
// In: member facts, in log order. Out: members of a group, groups of an account, and word of each coming and going. Never: whoever still asks to be let in, as a member.
import { tombstoneSeconds } from "../core/fact.ts";
import type { Follower } from "../store/follower.ts";
import type { Fact } from "../store/log.ts";
import { placeOf } from "../store/subjects.ts";
import { membershipOf, type Standing } from "./member-facts.ts";

/** Somebody joined a group, asks to be let in, or is in it no more, at a position in the log. */
export interface MemberTurn {
  readonly group: string;
  readonly member: string;
  readonly standing: Standing | "gone";
  /** What it was before. */
  readonly before: Standing | "gone";
  readonly position: number;
  readonly timeMs: number;
}

export interface Members extends Disposable {
  has(group: string, member: string): boolean;
  /** Where in the log each member joined, by its address. */
  of(group: string): ReadonlyMap<string, number>;
  /** Where in the log an account joined each of its groups, by the group's address. */
  groupsOf(member: string): ReadonlyMap<string, number>;
  /** Who came and went after a position, the last turn of each member, in log order; leavings as long as the log remembers them. */
  turnsSince(group: string, position: number): readonly MemberTurn[];
  /** The last turns of an account and the nodes under it, and of all that belong to its groups, after a position, in log order. */
  turnsNear(account: string, position: number): readonly MemberTurn[];
  /** Everything that an account, or a node under it, belongs to or asks to. */
  around(account: string): readonly MemberTurn[];
  /** Told before any fact that comes later in the log is. */
  listen(onTurn: (turn: MemberTurn) => void): Disposable;
}

const nobody: ReadonlyMap<string, number> = new Map();

export function openMembers(follower: Follower, now: () => number): Members {
  const byGroup = new Map<string, Map<string, number>>();
  const byMember = new Map<string, Map<string, number>>();
  /** The last turn of each member, by group. */
  const turns = new Map<string, Map<string, MemberTurn>>();
  /** The same, by the accounts that they are about: the group's owner and the member's. */
  const near = new Map<string, Set<MemberTurn>>();
  /** Of those the departures, the first of which came first. */
  const departures = new Set<MemberTurn>();
  const listeners = new Set<(turn: MemberTurn) => void>();
  const following = follower.listen({ take });

  function take(fact: Fact): void {
    if (!fact.subject.includes(".member.")) return;
    const { address, kind, name: member } = placeOf(fact.subject);
    if (kind !== "member") return;
    const group = address.text;
    const standing = membershipOf(fact)?.standing ?? "gone";
    const { standing: before } = turns.get(group)?.get(member) ?? { standing: "gone" };
    const { position, timeMs } = fact;
    const turn: MemberTurn = { group, member, standing, before, position, timeMs };
    remember(turn);
    if (standing === before) return;
    if (standing === "member") {
      enter(byGroup, group, member, position);
      enter(byMember, member, group, position);
    } else if (before === "member") {
      leave(byGroup, group, member);
      leave(byMember, member, group);
    }
    for (const listener of listeners) listener(turn);
  }

  function remember(turn: MemberTurn): void {
    const { group, member } = turn;
    const last = turns.get(group)?.get(member);
    if (last) forget(last);
    // The last comes last.
    turns.set(group, (turns.get(group) ?? new Map()).set(member, turn));
    if (turn.standing === "gone") departures.add(turn);
    for (const account of accountsOf(turn)) near.set(account, (near.get(account) ?? new Set()).add(turn));
    // What the log has forgotten need not be remembered either.
    for (const one of departures) {
      if (now() - one.timeMs < tombstoneSeconds * 1000) break;
      forget(one);
    }
  }

  function forget(turn: MemberTurn): void {
    const of = turns.get(turn.group);
    of?.delete(turn.member);
    if (of?.size === 0) turns.delete(turn.group);
    departures.delete(turn);
    for (const account of accountsOf(turn)) {
      const beside = near.get(account);
      beside?.delete(turn);
      if (beside?.size === 0) near.delete(account);
    }
  }

  function has(group: string, member: string): boolean {
    return byGroup.get(group)?.has(member) ?? false;
  }

  return {
    has,
    of: (group) => byGroup.get(group) ?? nobody,
    groupsOf: (member) => byMember.get(member) ?? nobody,
    turnsSince(group, position) {
      return [...(turns.get(group)?.values() ?? [])].filter((turn) => turn.position > position);
    },
    turnsNear: (account, position) =>
      [...(near.get(account) ?? [])].filter((turn) => turn.position > position),
    around: (account) =>
      [...(near.get(account) ?? [])].filter(
        ({ member, standing }) => standing !== "gone" && accountOf(member) === account,
      ),
    listen(onTurn) {
      listeners.add(onTurn);
      return { [Symbol.dispose]: () => void listeners.delete(onTurn) };
    },
    [Symbol.dispose]: () => following[Symbol.dispose](),
  };
}

function accountsOf({ group, member }: MemberTurn): ReadonlySet<string> {
  return new Set([accountOf(group), accountOf(member)]);
}

function accountOf(address: string): string {
  const end = address.indexOf("/");
  return end < 0 ? address : address.slice(0, end);
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
