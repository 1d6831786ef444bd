// The ring: an agent's last runs, for those who look.
// In: records of runs. Out: their shapes, newest first, kept in the log now and then. Never: a write for each run.
import type { RunRecord } from "../../agents/dispatch.ts";
import type { AgentEvent } from "../../agents/events.ts";
import { timestamp } from "../core/event.ts";
import type { RunShape } from "./keeping.ts";

export interface Ring extends AsyncDisposable {
  note(record: RunRecord<AgentEvent>): void;
  shapes(): readonly RunShape[];
}

const shownMax = 50;
const keepMs = 1_000;

export function openRing(
  before: readonly RunShape[],
  keep: (runs: readonly RunShape[]) => Promise<void>,
): Ring {
  /** The oldest first. */
  const runs = new Map(before.toReversed().map((run) => [run.id, run]));
  let timer: NodeJS.Timeout | undefined;
  let keeping: Promise<void> = Promise.resolve();

  const shapes = (): readonly RunShape[] => [...runs.values()].reverse();

  function keepNow(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    keeping = keeping.then(() => keep(shapes())).catch(() => undefined);
    return keeping;
  }

  return {
    note(record) {
      // What no trigger wants is no run.
      if (record.state === "ignored") return;
      runs.delete(record.id);
      runs.set(record.id, shapeOf(record));
      if (runs.size > shownMax) runs.delete(runs.keys().next().value as string);
      timer ??= setTimeout(() => void keepNow(), keepMs).unref();
    },
    shapes,
    async [Symbol.asyncDispose]() {
      if (timer) await keepNow();
    },
  };
}

export function shapeOf({
  event,
  state,
  attempts,
  startedMs,
  ms,
  error,
  log,
}: RunRecord<AgentEvent>): RunShape {
  const { id, type, node } = event;
  const about = "name" in event ? { subject: event.name } : {};
  return {
    id,
    event: { id, type, node, ...about },
    state,
    attempts,
    started: timestamp(startedMs),
    ms: Math.round(ms),
    ...(error !== undefined && { error }),
    ...(log.length > 0 && { log: log.map(({ level, text }) => `${level}: ${text}`) }),
  };
}
