// Run records: what is told of the handling of an event, while it is on and afterwards.
// In: an event that is tried, and what it said. Out: its record. Never: more than its last lines.
import type { LogLevel } from "./port.ts";

/** What is known of an event here. */
export interface Dispatchable {
  readonly id: string;
  readonly node: string;
  readonly hops: number;
}

/** `failed` will be tried again; `dead` will not. `stopped` and `dropped` were not handled to the end, on purpose. */
export type RunState = "running" | "done" | "ignored" | "failed" | "dead" | "stopped" | "dropped";

export interface LogLine {
  readonly atMs: number;
  readonly level: LogLevel;
  readonly text: string;
}

export interface RunRecord<Event> {
  /** The event's id. */
  readonly id: string;
  readonly event: Event;
  readonly state: RunState;
  readonly attempts: number;
  readonly startedMs: number;
  /** From the start of the first attempt until now, waits between attempts included. */
  readonly ms: number;
  readonly error?: string;
  /** The last 20 lines. */
  readonly log: readonly LogLine[];
}

/** An event and what has been tried with it. */
export interface Tried<Event> {
  readonly event: Event;
  attempts: number;
  startedMs: number;
  log: LogLine[] | undefined;
}

const linesMax = 20;
const textMax = 1000;
const noLines: readonly LogLine[] = [];

export function recordOf<Event extends Dispatchable>(
  { event, attempts, startedMs, log }: Tried<Event>,
  nowMs: number,
  state: RunState,
  error?: string,
): RunRecord<Event> {
  const record = {
    id: event.id,
    event,
    state,
    attempts,
    startedMs: attempts === 0 ? nowMs : startedMs,
    ms: attempts === 0 ? 0 : nowMs - startedMs,
    log: log ? [...log] : noLines,
  };
  return error === undefined ? record : { ...record, error };
}

export function addLine(tried: Tried<unknown>, line: LogLine): void {
  tried.log ??= [];
  tried.log.push({ ...line, text: line.text.slice(0, textMax) });
  if (tried.log.length > linesMax) tried.log.shift();
}

export function errorText(error: unknown): string {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return text.slice(0, textMax);
}
