// The directory's thread, as the main one sees it: requests go in, each is answered in its turn.
// In: changes and questions. Out: what became of them. Never: more than a bounded number that wait; a thread that hangs for longer than its limit.
import { Worker } from "node:worker_threads";
import { Refusal } from "../core/refusal.ts";
import type { Reply, Request } from "./directory-worker.ts";
import type { Found, Question } from "./finder.ts";
import type { Change, Standing } from "./projection.ts";

export interface Thread extends AsyncDisposable {
  /** Where its projection stood when it came up. */
  readonly standing: Standing;
  /** @returns what is left to do: to be given back before anything else */
  apply(changes: readonly Change[], standing: Standing): Promise<readonly Change[]>;
  /** @throws Refusal `unavailable` when too many wait */
  find(question: Question): Promise<Found>;
  clear(): Promise<void>;
  /** Resolves when it is gone, whatever ended it. */
  readonly ended: Promise<void>;
}

/** The thread could not do what it was asked to. */
export class ThreadFailed extends Error {
  override readonly name = "ThreadFailed";
  /** The database is not to be trusted any more. */
  readonly isDamaged: boolean;
  constructor(message: string, isDamaged = false) {
    super(message);
    this.isDamaged = isDamaged;
  }
}

interface Waiting {
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: Error) => void;
}

// A constant of its own, so that no bundler takes the worker for an asset of the web.
const workerFile = new URL("./directory-worker.ts", import.meta.url);
/** Questions that wait; one more is refused. */
const waitingMax = 200;
/** A thread that answers nothing for so long has hung. Opening a large file takes a while. */
const patienceMs = 60_000;

export async function startThread(file: string): Promise<Thread> {
  const worker = new Worker(workerFile, {
    name: "directory",
    workerData: { file },
    env: {},
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: 256 },
  });
  const waiting: Waiting[] = [];
  const gone = Promise.withResolvers<void>();
  let failure: Error | undefined;
  let timer: NodeJS.Timeout | undefined;

  function guard(): void {
    clearTimeout(timer);
    if (waiting.length === 0) return;
    timer = setTimeout(() => {
      failure = new ThreadFailed("it hangs");
      void worker.terminate();
    }, patienceMs);
    timer.unref();
  }

  worker.on("message", (reply: Reply) => {
    const next = waiting.shift();
    guard();
    if (waiting.length === 0) worker.unref();
    if (reply.is === "failed") next?.reject(new ThreadFailed(reply.message, reply.isDamaged));
    else next?.resolve(reply);
  });
  worker.on("error", (error) => {
    failure = new ThreadFailed(error instanceof Error ? error.message : String(error));
  });
  worker.on("exit", () => {
    clearTimeout(timer);
    failure ??= new ThreadFailed("it has ended");
    for (const one of waiting.splice(0)) one.reject(failure);
    gone.resolve();
  });

  function answer(): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (failure) return reject(failure);
      waiting.push({ resolve, reject });
      if (waiting.length === 1) guard();
    });
  }

  async function ask<Is extends Reply["is"]>(request: Request, is: Is): Promise<Extract<Reply, { is: Is }>> {
    const answered = answer();
    worker.ref();
    worker.postMessage(request);
    const reply = await answered;
    if (reply.is !== is) throw new ThreadFailed(`it answered ${reply.is} in place of ${is}`);
    return reply as Extract<Reply, { is: Is }>;
  }

  const ready = await answer();
  if (ready.is !== "ready") throw new ThreadFailed(`it began with ${ready.is}`);
  return {
    standing: ready.standing,
    ended: gone.promise,
    apply: async (changes, standing) => (await ask({ is: "apply", changes, standing }, "applied")).left,
    async find(question) {
      if (waiting.length >= waitingMax) {
        throw new Refusal("unavailable", "Too many searches wait already.");
      }
      return (await ask({ is: "find", question }, "found")).found;
    },
    clear: async () => void (await ask({ is: "clear" }, "cleared")),
    async [Symbol.asyncDispose]() {
      await worker.terminate();
      await gone.promise;
    },
  };
}
