// The start of an agent's thread: it gives way to the broker, and takes what was compiled before from where that is kept.
// In: where compiled code is kept. Out: the thread of one agent. Never: an import of the rest before that is settled.
import { enableCompileCache, flushCompileCache } from "node:module";
import { constants, setPriority } from "node:os";
import { workerData } from "node:worker_threads";
import type { ThreadData } from "./words.ts";

const { compiledIn } = workerData as ThreadData;
// On Linux a thread has a priority of its own (setpriority(2), NOTES); elsewhere this would be the whole process.
if (process.platform === "linux") setPriority(0, constants.priority.PRIORITY_BELOW_NORMAL);
if (compiledIn !== undefined) enableCompileCache(compiledIn);
await import("./agent-worker.ts");
flushCompileCache();
