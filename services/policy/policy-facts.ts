// Policy facts: an owner's decisions as the log holds them, under the owner's own node.
// In: bodies of facts. Out: rules, blocks, answers; undefined once they were taken back. Never: one that was not checked when it was made.
import type { BlockMode } from "../core/blocks.ts";
import type { Answer, Decision, Rule } from "../core/policy.ts";
import { oncePerFact } from "../store/decoded.ts";

export interface BlockFact {
  readonly mode: BlockMode;
  readonly madeMs: number;
  /** Where in the log it was first made, where its mode was changed since. */
  readonly since?: number;
}

export interface AnswerFact extends Omit<Answer, "position"> {
  readonly madeMs: number;
}

export const rulesOf = oncePerFact(({ body }): readonly Rule[] | undefined => {
  return (JSON.parse(body) as { rules?: readonly Rule[] }).rules;
});

export const blockOf = oncePerFact(({ body }): BlockFact | undefined => {
  const { mode, at, since } = JSON.parse(body) as { mode?: BlockMode; at: number; since?: number };
  return mode && { mode, madeMs: at, ...(since !== undefined && { since }) };
});

export const answerOf = oncePerFact(({ body }): AnswerFact | undefined => {
  const wire = JSON.parse(body) as { decision?: Decision; properties?: readonly string[]; at: number };
  return wire.decision && { decision: wire.decision, properties: wire.properties, madeMs: wire.at };
});

export function rulesBody(rules: readonly Rule[]): string {
  return JSON.stringify({ rules });
}

export function blockBody({ mode, madeMs, since }: BlockFact): string {
  return JSON.stringify({ mode, at: madeMs, since });
}

export function answerBody({ decision, properties, madeMs }: AnswerFact): string {
  return JSON.stringify({ decision, properties, at: madeMs });
}
