// Claim facts: who holds an item of work, and how far it has come, as the log has it.
// In: bodies of facts. Out: what they say. Never: a body that came from outside unparsed.
import type { Json } from "../core/json.ts";
import type { Fact } from "../store/log.ts";

export interface ClaimWire {
  /** The broker that holds it; absent once it was let go. */
  readonly by?: string | undefined;
  /** The hold that wrote it; absent: somebody from outside did. */
  readonly hold?: string | undefined;
  readonly progress?: Json | undefined;
}

export function bodyOf(wire: ClaimWire): string {
  return JSON.stringify(wire);
}

export function wireOf(fact: Fact | undefined): ClaimWire {
  return fact ? (JSON.parse(fact.body) as ClaimWire) : {};
}
