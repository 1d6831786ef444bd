// Openness: to whom a property may be open at all, so that a search need not even touch what is nobody else's.
// In: what an owner has decided, how open a type is. Out: a class. Never: an answer to who may see it; that is asked of access.ts for each answer.
import { matchNames } from "../core/name-pattern.ts";
import type { Decisions, Visibility } from "../core/policy.ts";

/** 2: callers without a token may see it. 1: some accounts may. 0: nobody but its owner. Blocks aside. */
export type Openness = 0 | 1 | 2;

/** What decides it for all properties of one owner. */
export interface Grants {
  /** Whether types' defaults hold. */
  readonly byType: boolean;
  /** Patterns over names: what rules grant to anyone, whatever they ask in return. */
  readonly anyone: readonly string[];
  /** What rules and answers grant to somebody, or may grant one day. */
  readonly some: readonly string[];
}

export const noGrants: Grants = { byType: true, anyone: [], some: [] };

export function grantsOf({ rules, answers }: Pick<Decisions, "rules" | "answers">): Grants {
  const reading = (rules ?? []).filter(({ allow }) => allow.includes("read"));
  const free = reading.filter(
    ({ who, confirm, reveal = [] }) => who.includes("anyone") && !confirm && reveal.length === 0,
  );
  const some = new Set(reading.flatMap(({ properties }) => properties));
  for (const [, { decision, properties = [] }] of answers) {
    if (decision === "allow") for (const one of properties) some.add(one);
  }
  return {
    byType: rules === undefined,
    anyone: free.flatMap(({ properties }) => properties),
    some: [...some],
  };
}

const ofType: Readonly<Record<Visibility, Openness>> = { public: 2, contacts: 1, private: 0 };

export function openness({ byType, anyone, some }: Grants, name: string, visibility: Visibility): Openness {
  const given = byType ? ofType[visibility] : 0;
  if (given === 2 || selects(anyone, name)) return 2;
  return given === 1 || selects(some, name) ? 1 : 0;
}

/** None selects nothing here. */
function selects(patterns: readonly string[], name: string): boolean {
  return patterns.length > 0 && matchNames(patterns)(name);
}
