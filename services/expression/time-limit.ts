// Runs a job that may not come to an end, on this thread, and stops it when its time is up.
// In: a function and a limit. Out: whether it ended by itself. Never: yields to the event loop; lets a job that was
// stopped run its `finally` blocks, so it must not hold what has to be given back.

import { createContext, Script } from "node:vm";

const idle = () => undefined;
const stage = createContext({ job: idle });
// The job belongs to this realm. Only the call lies in the other one, because V8 stops scripts, not functions.
const call = new Script("job()");

/** The clock runs also while another program has the processor. */
const attemptsMax = 3;

/**
 * Runs it again where it was stopped before it had run for half of its time: it must be fit to be run more than once.
 * What the job throws is thrown. Costs some 0.2 ms, because a thread watches. The job is stopped between two steps of
 * JavaScript: one step of native code, such as a join of strings, is waited for, whatever it takes.
 */
export function runLimited(job: () => void, limitMs: number): "ended" | "stopped" {
  for (let attempt = 1; ; attempt++) {
    const before = process.threadCpuUsage();
    const outcome = runOnce(job, limitMs);
    const { user, system } = process.threadCpuUsage(before);
    // On a busy machine time passes in which the job was not even running: that is no fault of its.
    const ranMs = (user + system) / 1000;
    if (outcome === "ended" || ranMs > limitMs / 2 || attempt === attemptsMax) return outcome;
  }
}

function runOnce(job: () => void, limitMs: number): "ended" | "stopped" {
  stage.job = job;
  try {
    call.runInContext(stage, { timeout: limitMs });
    return "ended";
  } catch (error) {
    // An error of the other realm, so it is no instance of this one's Error.
    if ((error as { code?: unknown } | undefined)?.code === "ERR_SCRIPT_EXECUTION_TIMEOUT") return "stopped";
    throw error;
  } finally {
    stage.job = idle;
  }
}
