// The start of an agent's thread: it takes what was compiled before from where that is kept.
// In: where compiled code is kept. Out: the thread of one agent. Never: an import of the rest before that is settled.
import { enableCompileCache, flushCompileCache } from "node:module";
import { workerData } from "node:worker_threads";
import type { ThreadData } from "./words.ts";

const { compiledIn } = workerData as ThreadData;
if (compiledIn !== undefined) enableCompileCache(compiledIn);
await import("./agent-worker.ts");
flushCompileCache();
