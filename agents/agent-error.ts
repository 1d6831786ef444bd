// What an author is told when an agent is wrong: what it is, and what to do.
// In: where and why. Out: an error. Never: one for what happens at a run's own fault or the broker's.

export class AgentError extends Error {
  override readonly name = "AgentError";
}

/** What was given, short and on one line, for a message. */
export function shown(given: unknown): string {
  const text = typeof given === "string" ? given : (JSON.stringify(given) ?? String(given));
  const line = text.replace(/[^\x20-\x7e]/g, "?");
  return line.length > 80 ? `${line.slice(0, 80)}…` : line;
}
