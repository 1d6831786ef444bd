// The process of the agents' threads: starts and ends them as the broker says, and hands on their words.
// In: what the broker says, over the channel between both. Out: the words of each thread, and why it ended. Never: a life without its broker, or a thread with more memory or more open calls than it may have, or that says more than the broker has room for.
import { readdirSync } from "node:fs";
import { setPriority } from "node:os";
import { Worker } from "node:worker_threads";
import type { FromProcess, FromThread, ToProcess, ToThread } from "./words.ts";

interface Room {
  readonly worker: Worker;
  readonly memoryMb: number;
  readonly callsMax: number;
  /** Characters of each call that has no answer yet. */
  readonly calls: Map<number, number>;
  /** Of all of them. */
  waiting: number;
  /** Characters of whatever else it said since the last look. */
  said: number;
}

/** Characters of one word: more than anything that the broker takes of an agent. */
const wordMax = 2 * 1024 * 1024;
/** Of all calls of a thread that have no answer yet. */
const waitingMax = 32 * 1024 * 1024;
/** Of all words that are no calls, from one look to the next: what it was asked to handle, and how that ended. */
const saidMax = wordMax;

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
  const room: Room = { worker, memoryMb, callsMax, calls: new Map(), waiting: 0, said: 0 };
  rooms.set(thread, room);
  worker.on("message", (word) => {
    if (rooms.has(thread)) handOn(thread, room, word);
  });
  worker.on("error", (error) => end(thread, reasonOf(error)));
  worker.on("exit", (code) => end(thread, `it ended by itself, with code ${code}`));
}

/** Not all that a thread can say is JSON, or is to be read where everybody waits for it. */
function handOn(thread: number, room: Room, word: FromThread): void {
  // Whatever else a module posts is no word.
  if (typeof word !== "object" || word === null) {
    end(thread, "it says what is no word");
    return;
  }
  try {
    const size = JSON.stringify(word).length;
    if (size > wordMax) throw new Error("an agent says at most 2 MiB at once");
    if (word.is !== "call" ? says(room, size) : awaits(room, word.c, size))
      tell({ is: "word", thread, word });
    else end(thread, `it floods: ${room.calls.size} calls wait, with ${room.waiting} characters`);
  } catch (error) {
    if (word.is === "call") {
      const { message } = error as Error;
      room.worker.postMessage({ is: "refused", c: word.c, code: "bad-request", message } satisfies ToThread);
    } else end(thread, reasonOf(error));
  }
}

/** @returns whether there is room for one more word that is no call */
function says(room: Room, size: number): boolean {
  room.said += size;
  return room.said <= saidMax;
}

/** @returns whether there is room for one more call */
function awaits(room: Room, call: number, size: number): boolean {
  // A number that is in use already would hide how much waits.
  if (room.calls.has(call) || room.calls.size >= room.callsMax || room.waiting + size > waitingMax)
    return false;
  room.calls.set(call, size);
  room.waiting += size;
  return true;
}

function answered(room: Room, call: number): void {
  room.waiting -= room.calls.get(call) ?? 0;
  room.calls.delete(call);
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
  for (const room of rooms.values()) room.said = 0;
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
      if (word.word.is === "answer" || word.word.is === "refused") if (room) answered(room, word.word.c);
      room?.worker.postMessage(word.word);
    }
  }
});
process.once("disconnect", () => process.exit());
// Whoever stops the broker stops this too, once the broker has put everything in order.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined);
giveWay();
setInterval(look, lookEachMs);
