// Progress: how far a webhook has come, as it is kept between attempts, restarts and brokers.
// In: outcomes of attempts. Out: what is saved, and where to go on. Never: a body or a secret.
import type { Json } from "../core/json.ts";
import type { Attempt, HookStanding } from "../watch/watching.ts";

export interface Progress extends HookStanding {
  /** Everything up to here was delivered; undefined: nothing was. */
  readonly cursor: string | undefined;
  /** Failures since the last delivery. */
  readonly failures: number;
  /** How many waits of the schedule were begun since then. */
  readonly step: number;
  /** When the next attempt is due, in ms since 1970; 0: at once. */
  readonly dueMs: number;
  /** Not even news brings it forward to before this. */
  readonly closedMs: number;
  /** The last ones, oldest first. */
  readonly attempts: readonly Attempt[];
}

const atFirst: Progress = {
  state: "active",
  cursor: undefined,
  failures: 0,
  step: 0,
  dueMs: 0,
  closedMs: 0,
  attempts: [],
};

const attemptsMax = 50;

export function noted(attempts: readonly Attempt[], attempt: Attempt): readonly Attempt[] {
  return [...attempts, attempt].slice(-attemptsMax);
}

/** As good as new, from a cursor on. */
export function begunAnew({ attempts }: Progress, cursor: string | undefined): Progress {
  return { ...atFirst, attempts, cursor };
}

export function progressJson(progress: Progress): Json {
  return progress as unknown as Json;
}

export function progressOf(saved: Json | undefined): Progress {
  return saved === undefined ? atFirst : { ...atFirst, ...(saved as unknown as Progress) };
}
