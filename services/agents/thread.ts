// An agent's thread, as the broker sees it: bounded in memory, ended when it hangs, so that a crash or an endless loop stays its own.
// In: a module, events. Out: what became of each; calls that it makes. Never: a thread that outlives its disposal, or that answers nothing and is waited for.
import { getCompileCacheDir } from "node:module";
import { dirname } from "node:path";
import { Worker } from "node:worker_threads";
import type { AgentEvent } from "../../agents/events.ts";
import { type Calls, type Port, PortError, type Run } from "../../agents/port.ts";
import type { Definition, FromThread, Task, ThreadData, ToThread } from "./words.ts";

/** The thread is gone. */
export class ThreadEnded extends Error {
  override readonly name = "ThreadEnded";
}

export interface Thread extends AsyncDisposable {
  readonly definition: Definition;
  /** Rejects with what the handler threw, or with ThreadEnded. */
  handle(event: AgentEvent, run: Run, signal: AbortSignal): Promise<"handled" | "ignored">;
  /** Why it is gone; undefined while it is there. */
  readonly ended: ThreadEnded | undefined;
}

export interface ThreadLimits {
  /** Of its heap. */
  readonly memoryMb: number;
  /** It answers at least so often; else it hangs. */
  readonly patienceMs: number;
  readonly loadMs: number;
  /** Of its calls, so many are carried out at once; the others wait. */
  readonly callsAtOnce: number;
  /** Calls that may wait; with one more it is ended. */
  readonly callsMax: number;
}

export const usualThreadLimits: ThreadLimits = {
  memoryMb: 64,
  patienceMs: 4_000,
  loadMs: 10_000,
  callsAtOnce: 64,
  callsMax: 10_000,
};

// A constant of its own, so that no bundler takes the worker for an asset of the web.
const workerFile = new URL("./agent-start.ts", import.meta.url);

export function startWorker(task: Task, { memoryMb }: ThreadLimits): Worker {
  // Each thread has a cache of its own, in a folder for its version of Node.
  const compiled = getCompileCacheDir();
  const workerData: ThreadData = { task, compiledIn: compiled && dirname(compiled) };
  const worker = new Worker(workerFile, {
    name: "agent",
    workerData,
    env: {},
    execArgv: [],
    argv: [],
    stdin: false,
    stdout: true,
    stderr: true,
    resourceLimits: { maxOldGenerationSizeMb: memoryMb, maxYoungGenerationSizeMb: 8, stackSizeMb: 4 },
  });
  // What it prints is read and dropped, or it would pile up: an agent logs by its context.
  worker.stdout.resume();
  worker.stderr.resume();
  worker.unref();
  return worker;
}

/** Its next word. @throws Error: why there is none */
export async function nextWord(worker: Worker, { loadMs }: ThreadLimits): Promise<FromThread> {
  const first = Promise.withResolvers<FromThread>();
  const timer = setTimeout(
    () => first.reject(new ThreadEnded(`it was not loaded within ${loadMs} ms`)),
    loadMs,
  );
  const onExit = (): void => first.reject(new ThreadEnded("it ended while it was loaded"));
  const onError = (error: unknown): void => first.reject(new ThreadEnded(reasonOf(error)));
  worker.once("message", first.resolve);
  worker.once("error", onError);
  worker.once("exit", onExit);
  try {
    const word = await first.promise;
    if (word.is === "broken") throw new ThreadEnded(word.error);
    return word;
  } finally {
    clearTimeout(timer);
    worker.off("error", onError);
    worker.off("exit", onExit);
    worker.off("message", first.resolve);
  }
}

/** @throws ThreadEnded where the module cannot be loaded, is no agent, or its config does not fit */
export async function startThread(
  task: Extract<Task, { is: "run" }>,
  port: Port,
  limits: ThreadLimits,
): Promise<Thread> {
  const worker = startWorker(task, limits);
  let ended: ThreadEnded | undefined;
  let count = 0;
  let heardMs = performance.now();
  const handling = new Map<number, PromiseWithResolvers<"handled" | "ignored">>();
  const waiting: Extract<FromThread, { is: "call" }>[] = [];
  let calling = 0;

  let ready: FromThread;
  try {
    ready = await nextWord(worker, limits);
  } catch (error) {
    await worker.terminate();
    throw error;
  }
  if (ready.is !== "ready") throw new ThreadEnded("it said something else");
  const { definition } = ready;

  function end(reason: string): void {
    if (ended) return;
    ended = new ThreadEnded(reason);
    clearInterval(watching);
    for (const one of handling.values()) one.reject(ended);
    handling.clear();
    waiting.length = 0;
    void worker.terminate();
  }

  function tell(word: ToThread): void {
    if (ended === undefined) worker.postMessage(word);
  }

  // Only a thread that has something to do can hang.
  const watching = setInterval(() => {
    if (handling.size === 0) {
      heardMs = performance.now();
      return;
    }
    if (performance.now() - heardMs > limits.patienceMs) {
      end(`it hangs: no answer for ${limits.patienceMs} ms, as in an endless loop`);
    } else tell({ is: "ping" });
  }, limits.patienceMs / 4);
  watching.unref();

  worker.on("message", (word: FromThread) => {
    heardMs = performance.now();
    switch (word.is) {
      case "ended":
        take(word.n)?.resolve(word.outcome);
        return;
      case "failed":
        take(word.n)?.reject(Object.assign(new Error(word.message), { name: word.name }));
        return;
      case "call":
        if (waiting.length >= limits.callsMax) end(`it floods: ${limits.callsMax} calls wait`);
        else waiting.push(word);
        fill();
    }
  });
  worker.on("error", (error) => end(reasonOf(error)));
  worker.on("exit", (code) => end(`it ended by itself, with code ${code}`));

  function take(n: number): PromiseWithResolvers<"handled" | "ignored"> | undefined {
    const one = handling.get(n);
    handling.delete(n);
    return one;
  }

  function fill(): void {
    while (calling < limits.callsAtOnce) {
      const next = waiting.shift();
      if (next === undefined) return;
      calling++;
      void carryOut(next);
    }
  }

  async function carryOut({ c, run, call, takes }: Extract<FromThread, { is: "call" }>): Promise<void> {
    try {
      tell({ is: "answer", c, gives: await port(run, call, takes as Calls[typeof call]["takes"]) });
    } catch (error) {
      const code = error instanceof PortError ? error.code : "unavailable";
      tell({ is: "refused", c, code, message: (error as Error).message });
    } finally {
      calling--;
      fill();
    }
  }

  return {
    definition,
    get ended() {
      return ended;
    },
    handle(event, run, signal) {
      if (ended) return Promise.reject(ended);
      const n = ++count;
      if (handling.size === 0) heardMs = performance.now();
      const one = Promise.withResolvers<"handled" | "ignored">();
      handling.set(n, one);
      tell({ is: "handle", n, event, run });
      const onAbort = (): void => tell({ is: "abort", n, reason: String((signal.reason as Error)?.message) });
      signal.addEventListener("abort", onAbort, { once: true });
      return one.promise.finally(() => signal.removeEventListener("abort", onAbort));
    },
    async [Symbol.asyncDispose]() {
      end("the agent is stopped");
      await worker.terminate();
    },
  };
}

function reasonOf(error: unknown): string {
  const { code, name = "Error", message = String(error) } = (error ?? {}) as NodeJS.ErrnoException;
  return code === "ERR_WORKER_OUT_OF_MEMORY"
    ? "it needs more memory than it may have"
    : `${name}: ${message}`;
}
