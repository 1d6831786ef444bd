// The threads of agents, in a process of their own: it gives way to the broker, and whatever ends it leaves the broker alone.
// In: tasks, words for each thread. Out: their words, or why a thread is gone. Never: a thread that outlives this object, or a broker that waits for that process.
import { fork } from "node:child_process";
import { getCompileCacheDir } from "node:module";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { Turns } from "../core/turns.ts";
import type { FromProcess, FromThread, Task, ToProcess, ToThread } from "./words.ts";

/** The thread is gone. */
export class ThreadEnded extends Error {
  override readonly name = "ThreadEnded";
  /** So are others, and any of them may have been the cause. */
  readonly isShared: boolean;

  constructor(message: string, isShared = false) {
    super(message);
    this.isShared = isShared;
  }
}

export interface ThreadLimits {
  /** Of its heap; and of what it keeps outside of it. */
  readonly memoryMb: number;
  /** It answers at least so often; else it hangs. */
  readonly patienceMs: number;
  readonly loadMs: number;
  /** Of its calls, so many are carried out at once; the others wait. */
  readonly callsAtOnce: number;
  /** Calls that may wait; with one more it is ended. */
  readonly callsMax: number;
  /** How far it gives way to the broker: 0 not at all, 19 at most, as nice(1) has it. */
  readonly niceness: number;
}

export const usualThreadLimits: ThreadLimits = {
  memoryMb: 64,
  patienceMs: 4_000,
  loadMs: 10_000,
  callsAtOnce: 64,
  callsMax: 10_000,
  niceness: 10,
};

export interface Listener {
  hear(word: FromThread): void;
  /** The last that comes. */
  gone(why: ThreadEnded): void;
}

/** A thread that was started, wherever it runs. */
export interface Line extends Disposable {
  say(word: ToThread): void;
  /** From now on in place of any other. Whoever comes too late is told so at once. */
  listen(listener: Listener): void;
}

export interface Threads extends AsyncDisposable {
  readonly limits: ThreadLimits;
  /** Whoever begins one has its turn until it is loaded: all at once would take longer than each of them may. */
  readonly turns: Turns;
  /** @param isAlone in a process of its own: whatever ends that has to do with no other thread */
  start(task: Task, isAlone?: boolean): Line;
}

const processFile = fileURLToPath(new URL("./threads-process.ts", import.meta.url));
const lastWordsMax = 2_000;
const begunAtOnce = 2;
const deaf: Listener = { hear: () => undefined, gone: () => undefined };

/** @param isPublicOnly whether agents are to reach public addresses alone */
export function openThreads(
  limits: ThreadLimits,
  onTrouble: (message: string) => void,
  isPublicOnly = true,
): Threads {
  let shared: Process | undefined;
  let count = 0;
  const processes = new Set<Process>();

  function begin(isShared: boolean): Process {
    const begun = openProcess(isShared, limits.niceness, isPublicOnly, (why) => {
      processes.delete(begun);
      if (shared === begun) shared = undefined;
      onTrouble(`the process of agents has ended: ${why}`);
    });
    processes.add(begun);
    if (isShared) shared = begun;
    return begun;
  }

  return {
    limits,
    turns: new Turns(begunAtOnce),
    start(task, isAlone = false) {
      const thread = ++count;
      const home = isAlone ? begin(false) : (shared ?? begin(true));
      const compiled = getCompileCacheDir();
      // Each process has a cache of its own, in a folder for its version of Node.
      const data = { task, compiledIn: compiled && dirname(compiled) };
      const { memoryMb, callsMax } = limits;
      let listener = deaf;
      let why: ThreadEnded | undefined;
      home.listeners.set(thread, {
        hear: (word) => listener.hear(word),
        gone(ended) {
          why = ended;
          leave();
          listener.gone(ended);
        },
      });
      home.send({ is: "start", thread, data, memoryMb, callsMax });
      const leave = (): void => {
        home.listeners.delete(thread);
        if (!isAlone) return;
        processes.delete(home);
        void home[Symbol.asyncDispose]();
      };
      return {
        say(word) {
          if (home.listeners.has(thread)) home.send({ is: "word", thread, word });
        },
        listen(next) {
          listener = next;
          if (why) next.gone(why);
        },
        [Symbol.dispose]() {
          if (!home.listeners.has(thread)) return;
          home.send({ is: "end", thread });
          leave();
        },
      };
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([...processes].map(async (one) => await one[Symbol.asyncDispose]()));
    },
  };
}

interface Process extends AsyncDisposable {
  /** By thread. */
  readonly listeners: Map<number, Listener>;
  send(word: ToProcess): void;
}

/** @param fallen called when it has ended by itself */
function openProcess(
  isShared: boolean,
  niceness: number,
  isPublicOnly: boolean,
  fallen: (why: string) => void,
): Process {
  const listeners = new Map<number, Listener>();
  const child = fork(processFile, [String(niceness)], {
    env: isPublicOnly ? { TIDINGS_PUBLIC_ONLY: "1" } : {},
    execArgv: [],
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  const exited = Promise.withResolvers<void>();
  let isOver = false;
  let lastWords = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    lastWords = (lastWords + text).slice(-lastWordsMax);
  });

  function fall(why: string): void {
    exited.resolve();
    if (isOver) return;
    isOver = true;
    fallen(`${why} ${lastWords}`.trim());
    for (const one of [...listeners.values()])
      one.gone(new ThreadEnded(`its process ended: ${why}`, isShared));
  }

  child.on("message", (word: FromProcess) => {
    const listener = listeners.get(word.thread);
    if (word.is === "word") listener?.hear(word.word);
    else listener?.gone(new ThreadEnded(word.why));
  });
  child.once("exit", (code, signal) => fall(String(signal ?? code)));
  child.on("error", (error) => fall(error.message));
  child.unref();
  child.channel?.unref();

  return {
    listeners,
    send(word) {
      // What does not arrive is told by the end of the process.
      child.send(word, () => undefined);
    },
    async [Symbol.asyncDispose]() {
      isOver = true;
      listeners.clear();
      child.ref();
      child.kill("SIGKILL");
      await exited.promise;
      child.unref();
    },
  };
}
