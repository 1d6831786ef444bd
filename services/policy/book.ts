// The book: what every owner has decided, as of the place that the feed has come to.
// In: facts of policies, blocks, answers and rosters, in log order. Out: decisions, and word of each change. Never: a decision older than a fact that the feed has brought.
import { rootOf } from "../core/address.ts";
import type { Block } from "../core/blocks.ts";
import { MultiMap } from "../core/multi-map.ts";
import { type Answer, type Decisions, noDecisions } from "../core/policy.ts";
import { visible } from "../core/property.ts";
import { VersionedMap } from "../core/versioned-map.ts";
import type { Members, MemberTurn } from "../groups/groups.ts";
import { stateOf } from "../store/decoded.ts";
import type { Follower } from "../store/follower.ts";
import type { Fact } from "../store/log.ts";
import { placeOf } from "../store/subjects.ts";
import { answerOf, blockOf, rulesOf } from "./policy-facts.ts";

/** An owner has decided anew, at a position in the log. */
export interface Turn {
  /** The account. */
  readonly owner: string;
  readonly before: Decisions;
  readonly after: Decisions;
  readonly position: number;
  /** Whom it is about alone: it came into a group that the owner names, or left it. */
  readonly member?: { readonly address: string; readonly hasJoined: boolean };
}

export interface Book extends Disposable {
  of(owner: string): Decisions;
  /** Told before any fact that comes later in the log is. */
  listen(onTurn: (turn: Turn) => void): Disposable;
}

/** What an owner has decided, in a form that can be added to. */
interface Page extends Decisions {
  readonly blocks: VersionedMap<Block>;
  readonly answers: VersionedMap<Answer>;
}

const blank: Page = { ...noDecisions, blocks: new VersionedMap(), answers: new VersionedMap() };

/** The property of an account's own node that lists its contacts. */
const rosterName = "contacts";

export function openBook(follower: Pick<Follower, "listen">, members: Pick<Members, "listen">): Book {
  const pages = new Map<string, Page>();
  /** Owners by each address that their rules name, and by each that they block: a group's among them. */
  const ruling = new MultiMap();
  const blocking = new MultiMap();
  const listeners = new Set<(turn: Turn) => void>();
  const following = follower.listen({ take });
  const joining = members.listen(turnMember);

  function take(fact: Fact): void {
    const kind = kindOf(fact.subject);
    if (kind === undefined) return;
    const { address, name } = placeOf(fact.subject);
    if (kind === "property" && (name !== rosterName || address.path.length > 0)) return;
    const owner = rootOf(address).text;
    const before = pages.get(owner) ?? blank;
    const after = turned(before, kind, name, fact);
    if (after === before) return;
    pages.set(owner, after);
    if (kind === "policy") {
      for (const who of named(before)) ruling.delete(who, owner);
      for (const who of named(after)) ruling.add(who, owner);
    } else if (kind === "block" && isAddress(name)) {
      if (after.blocks.has(name)) blocking.add(name, owner);
      else blocking.delete(name, owner);
    }
    for (const listener of listeners) listener({ owner, before, after, position: fact.position });
  }

  function turnMember({ group, member, standing, before: was, position }: MemberTurn): void {
    if (standing !== "member" && was !== "member") return;
    for (const owner of new Set([...ruling.get(group), ...blocking.get(group)])) {
      const before = pages.get(owner) ?? blank;
      // Who belongs to a group decides for whom its rules hold, and its blocks.
      const after = { ...before, changed: position, lifted: position };
      pages.set(owner, after);
      const of = { address: member, hasJoined: standing === "member" };
      for (const listener of listeners) listener({ owner, before, after, position, member: of });
    }
  }

  return {
    of: (owner) => pages.get(owner) ?? noDecisions,
    listen(onTurn) {
      listeners.add(onTurn);
      return { [Symbol.dispose]: () => void listeners.delete(onTurn) };
    },
    [Symbol.dispose]() {
      following[Symbol.dispose]();
      joining[Symbol.dispose]();
    },
  };
}

/** Addresses that the rules name. */
function named({ rules = [] }: Decisions): ReadonlySet<string> {
  return new Set(rules.flatMap(({ who }) => who.filter(isAddress)));
}

function isAddress(who: string): boolean {
  return who.includes("@") && !who.startsWith("@");
}

type Kind = "policy" | "block" | "answer" | "property";

function kindOf(subject: string): Kind | undefined {
  if (subject.endsWith(`.property.${rosterName}`)) return "property";
  const nameAt = subject.lastIndexOf(".");
  const kind = subject.slice(subject.lastIndexOf(".", nameAt - 1) + 1, nameAt);
  return kind === "policy" || kind === "block" || kind === "answer" ? kind : undefined;
}

function turned(before: Page, kind: Kind, name: string, fact: Fact): Page {
  const { position } = fact;
  switch (kind) {
    case "policy":
      return { ...before, rules: rulesOf(fact), changed: position };
    case "property": {
      const contacts = rosterOf(fact);
      // Petnames and notes lie in the same property, and decide nothing.
      return isSame(before.contacts, contacts) ? before : { ...before, contacts, changed: position };
    }
    case "answer": {
      // What was taken back still is a change that whoever resumes from before must not miss.
      const { decision, properties } = answerOf(fact) ?? { decision: "deny", properties: undefined };
      return { ...before, answers: before.answers.with(name, { decision, properties, position }) };
    }
    case "block": {
      const { mode, since = position } = blockOf(fact) ?? {};
      if (mode) return { ...before, blocks: before.blocks.with(name, { mode, position: since }) };
      const blocks = before.blocks.has(name) ? before.blocks.with(name, undefined) : before.blocks;
      return { ...before, blocks, lifted: position };
    }
  }
}

/** An owner that keeps no roster has every account for a contact; one whose roster names nobody has none. */
function rosterOf(fact: Fact): ReadonlySet<string> | undefined {
  const roster = visible(stateOf(fact))?.value;
  if (typeof roster !== "object" || roster === null || Array.isArray(roster)) return undefined;
  const { members } = roster;
  const named = Array.isArray(members) ? members.filter((one) => typeof one === "string") : [];
  return new Set(named.map((one) => one.toLowerCase()));
}

function isSame(one: ReadonlySet<string> | undefined, other: ReadonlySet<string> | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  return one.size === other.size && [...one].every((who) => other.has(who));
}
