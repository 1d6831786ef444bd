// A change that nobody asked for, in words: what was, what is, what would have followed.
// In: states before and after, and whoever might have caused it. Out: the text of a violation. Never: a judgement; truth.ts makes those.
import type { PropertyState } from "../../services/core/property.ts";
import { type Attempt, describeAttempt } from "./command.ts";
import { spell, spellAll } from "./property-model.ts";
import type { Group } from "./tape.ts";

export function unexplained(
  states: ReadonlyMap<string, PropertyState>,
  actual: ReadonlyMap<string, PropertyState>,
  expected: ReadonlyMap<string, PropertyState> | undefined,
  attempt: Attempt | undefined,
  group: Group,
): string {
  const lines = [
    `nobody asked for what is at ${group.first} (an early end, a renewal undone, a half or stale change)`,
  ];
  for (const [subject, next] of actual) {
    lines.push(
      `${subject} at ${group.timeMs}`,
      `  was ${spell(states.get(subject))}`,
      `  is  ${spell(next)}`,
    );
  }
  lines.push(`cause ${attempt ? describeAttempt(attempt) : "a sweeper"}`);
  if (expected) lines.push(`expected ${spellAll(expected)}`);
  return lines.join("\n  ");
}
