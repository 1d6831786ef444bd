// An agent's thread, as the broker sees it: bounded in memory, ended when it hangs, so that a crash or an endless loop stays its own.
// In: a module, events. Out: what became of each; calls that it makes. Never: a thread that outlives its disposal, or that answers nothing and is waited for.
import type { AgentEvent } from "../../agents/events.ts";
import { type Calls, type Port, PortError, type Run } from "../../agents/port.ts";
import { type Line, ThreadEnded, type ThreadLimits, type Threads } from "./threads.ts";
import type { Definition, FromThread, Task, ToThread } from "./words.ts";

export interface Thread extends Disposable {
  readonly definition: Definition;
  /** Rejects with what the handler threw, or with ThreadEnded. */
  handle(event: AgentEvent, run: Run, signal: AbortSignal): Promise<"handled" | "ignored">;
  /** Why it is gone; undefined while it is there. */
  readonly ended: ThreadEnded | undefined;
}

/** Its next word. @throws ThreadEnded: why there is none */
export async function nextWord(line: Line, { loadMs }: ThreadLimits): Promise<FromThread> {
  const next = Promise.withResolvers<FromThread>();
  line.listen({ hear: next.resolve, gone: next.reject });
  const timer = setTimeout(
    () => next.reject(new ThreadEnded(`it was not loaded within ${loadMs} ms`)),
    loadMs,
  );
  try {
    const word = await next.promise;
    if (word.is === "broken") throw new ThreadEnded(word.error);
    return word;
  } finally {
    clearTimeout(timer);
  }
}

/** @throws ThreadEnded where the module cannot be loaded, is no agent, or its config does not fit */
export async function startThread(
  task: Extract<Task, { is: "run" }>,
  port: Port,
  threads: Threads,
  isAlone = false,
): Promise<Thread> {
  const { limits } = threads;
  const line = threads.start(task, isAlone);
  let ended: ThreadEnded | undefined;
  let count = 0;
  let heardMs = performance.now();
  const handling = new Map<number, PromiseWithResolvers<"handled" | "ignored">>();
  const waiting: Extract<FromThread, { is: "call" }>[] = [];
  let calling = 0;

  let ready: FromThread;
  try {
    ready = await nextWord(line, limits);
  } catch (error) {
    line[Symbol.dispose]();
    throw error;
  }
  if (ready.is !== "ready") throw new ThreadEnded("it said something else");
  const { definition } = ready;

  function end(why: ThreadEnded): void {
    if (ended) return;
    ended = why;
    clearInterval(watching);
    for (const one of handling.values()) one.reject(ended);
    handling.clear();
    waiting.length = 0;
    line[Symbol.dispose]();
  }

  function tell(word: ToThread): void {
    if (ended === undefined) line.say(word);
  }

  // Only a thread that has something to do can hang.
  const watching = setInterval(() => {
    if (handling.size === 0) {
      heardMs = performance.now();
      return;
    }
    if (performance.now() - heardMs > limits.patienceMs) {
      end(new ThreadEnded(`it hangs: no answer for ${limits.patienceMs} ms, as in an endless loop`));
    } else tell({ is: "ping" });
  }, limits.patienceMs / 4);
  watching.unref();

  function hear(word: FromThread): void {
    heardMs = performance.now();
    switch (word.is) {
      case "ended":
        take(word.n)?.resolve(word.outcome);
        return;
      case "failed":
        take(word.n)?.reject(Object.assign(new Error(word.message), { name: word.name }));
        return;
      case "call":
        waiting.push(word);
        fill();
    }
  }
  line.listen({ hear, gone: end });

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
    [Symbol.dispose]() {
      end(new ThreadEnded("the agent is stopped"));
    },
  };
}
