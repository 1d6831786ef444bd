// Progress: how far an agent has come, as its claim carries it.
// In: JSON from the log. Out: progress, and back. Never: a guess where there is none.
import type { AgentEvent } from "../../agents/events.ts";
import type { Json } from "../core/json.ts";

export interface Progress {
  /** Everything up to here has ended. */
  readonly cursor: string | undefined;
  /** The enabling that it has heard of. */
  readonly turn: number;
  /** Events that are to be handled once more, before anything else. */
  readonly replay: readonly AgentEvent[];
}

export function progressOf(json: Json | undefined): Progress {
  const { cursor, turn = 0, replay = [] } = (json ?? {}) as unknown as Partial<Progress>;
  return { cursor, turn, replay };
}

export function progressJson({ cursor, turn, replay }: Progress): Json {
  return JSON.parse(JSON.stringify({ cursor, turn, replay })) as Json;
}
