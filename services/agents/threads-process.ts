// The process of the agents' threads: starts and ends them as the broker says, and hands on their words.
// In: what the broker says, over the channel between both. Out: the words of each thread, and why it ended. Never: a life without its broker, or a thread with more memory or more open calls than it may have.
import { readdirSync } from "node:fs";
import { setPriority } from "node:os";
import { Worker } from "node:worker_threads";
import type { FromProcess, FromThread, ToProcess, ToThread } from "./words.ts";

interface Room {
  readonly worker: Worker;
  readonly memoryMb: number;
  readonly callsMax: number;
  /** Calls that have no answer yet. */
  calls: number;
}

const threadFile = new URL("./agent-start.ts", import.meta.url);
const lookEachMs = 100;
/** So much more than at the last look, and each thread is asked what it keeps outside of its heap. */
const growthMb = 32;
const rooms = new Map<number, Room>();
let lastMb = megabytes();
const niceness = Number(process.argv[2]);

/** Also to the threads that there are already, in which V8 collects garbage. */
function giveWay(): void {
  const lower = (thread: number): void => {
    try {
      setPriority(thread, niceness);
    } catch {
      // It has ended meanwhile.
    }
  };
  lower(0);
  // On Linux a thread has a priority of its own (setpriority(2), NOTES), which those that it starts inherit.
  if (process.platform === "linux")
    for (const thread of readdirSync("/proc/self/task")) lower(Number(thread));
}

function tell(word: FromProcess): void {
  process.send?.(word);
}

function start({ thread, data, memoryMb, callsMax }: Extract<ToProcess, { is: "start" }>): void {
  const worker = new Worker(threadFile, {
    name: "agent",
    workerData: data,
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
  const room: Room = { worker, memoryMb, callsMax, calls: 0 };
  rooms.set(thread, room);
  worker.on("message", (word) => {
    if (!rooms.has(thread)) return;
    if (word.is === "call" && ++room.calls > callsMax) end(thread, `it floods: ${callsMax} calls wait`);
    else handOn(thread, room, word);
  });
  worker.on("error", (error) => end(thread, reasonOf(error)));
  worker.on("exit", (code) => end(thread, `it ended by itself, with code ${code}`));
}

/** Not all that a thread can say is JSON. */
function handOn(thread: number, room: Room, word: FromThread): void {
  try {
    tell({ is: "word", thread, word });
  } catch (error) {
    if (word.is === "call") {
      room.calls--;
      const { message } = error as Error;
      room.worker.postMessage({ is: "refused", c: word.c, code: "bad-request", message } satisfies ToThread);
    } else end(thread, reasonOf(error));
  }
}

function end(thread: number, why?: string): void {
  const room = rooms.get(thread);
  if (room === undefined) return;
  rooms.delete(thread);
  if (why !== undefined) tell({ is: "gone", thread, why });
  void room.worker.terminate();
}

function reasonOf(error: unknown): string {
  const { code, name = "Error", message = String(error) } = (error ?? {}) as NodeJS.ErrnoException;
  return code === "ERR_WORKER_OUT_OF_MEMORY" ? needsMore : `${name}: ${message}`;
}

const needsMore = "it needs more memory than it may have";

function megabytes(): number {
  return process.memoryUsage.rss() / 1024 / 1024;
}

/** A thread's heap is bounded by itself; what it keeps outside of that, in buffers, is not. */
function look(): void {
  const nowMb = megabytes();
  if (nowMb < lastMb + growthMb) {
    lastMb = Math.min(lastMb, nowMb);
    return;
  }
  lastMb = nowMb;
  for (const [thread, { worker, memoryMb }] of rooms) {
    worker.getHeapStatistics().then(
      ({ external_memory }) => external_memory > memoryMb * 1024 * 1024 && end(thread, needsMore),
      () => undefined,
    );
  }
}

process.on("message", (word: ToProcess) => {
  switch (word.is) {
    case "start":
      start(word);
      return;
    case "end":
      end(word.thread);
      return;
    default: {
      const room = rooms.get(word.thread);
      if (word.word.is === "answer" || word.word.is === "refused") if (room) room.calls--;
      room?.worker.postMessage(word.word);
    }
  }
});
process.once("disconnect", () => process.exit());
// Whoever stops the broker stops this too, once the broker has put everything in order.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined);
giveWay();
setInterval(look, lookEachMs);
