// Whether a schema is usable, and whether a value fits it, for schemas that users wrote and nobody trusts.
// In: schemas and values. Out: verdicts with pointers, within a time limit, whatever the schema does.
// Never: compiles or applies a user's schema on this thread; keeps the process alive; retries what overran.

import assert from "node:assert/strict";
import { Worker } from "node:worker_threads";
import { createLanes, type Job } from "./schema-lanes.ts";
import { beginBatch, createProgress, type Progress, readProgress } from "./schema-progress.ts";
import { measureSchema, type SchemaVerdict } from "./schema-rules.ts";
import type { WorkerReply, WorkerRequest } from "./schema-worker.ts";

export type { SchemaError, SchemaVerdict } from "./schema-rules.ts";

export type SchemaCheckOptions = {
  /** For one item, from when a worker has it; waiting and the start of a worker do not count. */
  timeLimitMs?: number;
  /** Of more than one, the first alone is given what is slow or new. */
  workers?: number;
  /** Of one worker's old generation. */
  heapMb?: number;
  /** Items not yet with a worker; one more is refused with `SchemaCheckOverloaded`. */
  waitingMax?: number;
  /** Compiled validators a worker keeps. */
  cacheMax?: number;
};

export type SchemaCheckStats = {
  waiting: number;
  cached: number;
  /** Workers that were ended or died, by reason. */
  overruns: number;
  crashes: number;
};

export interface SchemaCheck extends AsyncDisposable {
  /**
   * May this be a type's schema? Pointers lead into the schema.
   * Rejects with `SchemaCheckOverloaded` or `SchemaCheckClosed`.
   */
  check(schema: object): Promise<SchemaVerdict>;
  /**
   * Does the value fit? Pointers lead into the value. `key` names the content of the schema (a hash): the
   * compiled validator is kept under it. Rejects like `check`.
   */
  validate(key: string, schema: object, value: unknown): Promise<SchemaVerdict>;
  stats(): SchemaCheckStats;
}

/** Too many items wait. Nothing was checked; the caller answers 503 with Retry-After. */
export class SchemaCheckOverloaded extends Error {
  override readonly name = "SchemaCheckOverloaded";
}

/** The check was disposed of before it could answer. */
export class SchemaCheckClosed extends Error {
  override readonly name = "SchemaCheckClosed";
}

type Slot = {
  index: number;
  worker?: Worker | undefined;
  state: "empty" | "starting" | "ready" | "stopping";
  /** What the worker has, or gets when it is ready: one message, since waking a thread costs more than a check. */
  batch: Job[];
  progress: Progress;
  timer?: NodeJS.Timeout | undefined;
  failure?: unknown;
  cached: number;
};

// A constant of its own, so that no bundler takes the worker for an asset of the web.
const WORKER_FILE = new URL("./schema-worker.ts", import.meta.url);
/** A worker that has not come up by then is taken for dead. */
const START_LIMIT_MS = 20_000;

export function openSchemaCheck(options: SchemaCheckOptions = {}): SchemaCheck {
  const { timeLimitMs = 250, workers = 2, heapMb = 64, waitingMax = 1000, cacheMax = 200 } = options;
  const slots: Slot[] = Array.from({ length: workers }, (_, index) => ({
    index,
    state: "empty",
    batch: [],
    progress: createProgress(),
    cached: 0,
  }));
  const lanes = createLanes();
  let overruns = 0;
  let crashes = 0;
  let closed = false;

  function submit(request: WorkerRequest): Promise<SchemaVerdict> {
    if (closed) return Promise.reject(new SchemaCheckClosed("the schema check is closed"));
    if (lanes.size >= waitingMax)
      return Promise.reject(new SchemaCheckOverloaded(`${waitingMax} schema checks wait already`));
    const job: Job = { request, deaths: 0, settled: Promise.withResolvers() };
    lanes.push(job);
    pump();
    return job.settled.promise;
  }

  function pump(): void {
    for (const slot of slots) {
      while (slot.batch.length === 0 && slot.state !== "stopping" && !closed) {
        slot.batch = lanes.take(slot.index);
        if (slot.batch.length === 0) break;
        if (slot.state === "empty") start(slot);
        else if (slot.state === "ready") send(slot);
      }
    }
  }

  function start(slot: Slot): void {
    slot.state = "starting";
    slot.failure = undefined;
    const worker = new Worker(WORKER_FILE, {
      name: `schema-${slot.index}`,
      workerData: { cacheMax, progress: slot.progress },
      // Nothing of the broker's environment or flags is the business of users' schemas.
      env: {},
      execArgv: [],
      // 16 MB more are granted at the limit for a clean end; schema-rules and ajv.ts keep every single
      // allocation below that, since a larger one would end the process instead of the worker.
      resourceLimits: { maxOldGenerationSizeMb: heapMb, maxYoungGenerationSizeMb: 16, stackSizeMb: 4 },
    });
    slot.worker = worker;
    slot.timer = setTimeout(() => stop(slot), START_LIMIT_MS);
    worker.on("message", (reply: WorkerReply) => hear(slot, reply));
    worker.on("error", (error) => {
      slot.failure = error;
    });
    worker.on("exit", () => buried(slot));
  }

  function send(slot: Slot): void {
    beginBatch(slot.progress);
    try {
      slot.worker?.postMessage(slot.batch.map((job) => job.request));
    } catch {
      dropUncloneable(slot);
      return;
    }
    slot.worker?.ref();
    watch(slot, slot.batch, timeLimitMs);
  }

  /** Ends the worker once the item that it is at has had its time. */
  function watch(slot: Slot, batch: Job[], delayMs: number): void {
    slot.timer = setTimeout(() => {
      // If this thread was busy, the answer may lie in the port already: let it be heard first.
      setImmediate(() => {
        if (slot.batch !== batch || slot.state !== "ready") return;
        const { index, elapsedMs } = readProgress(slot.progress);
        const leftMs = (index < 0 ? START_LIMIT_MS : timeLimitMs) - elapsedMs;
        if (leftMs > 0) watch(slot, batch, leftMs);
        else overran(slot, index);
      });
    }, delayMs);
  }

  /** A function or a symbol in a value is the caller's mistake, not that of what travels with it. */
  function dropUncloneable(slot: Slot): void {
    const batch = slot.batch;
    slot.batch = [];
    const sound = batch.filter((job) => {
      try {
        structuredClone(job.request);
        return true;
      } catch (error) {
        job.settled.reject(error);
        return false;
      }
    });
    lanes.putBack(sound);
  }

  function hear(slot: Slot, reply: WorkerReply): void {
    if (slot.state === "stopping") return;
    clearTimeout(slot.timer);
    if (reply.kind === "ready") {
      slot.state = "ready";
      slot.worker?.unref();
      if (slot.batch.length > 0) send(slot);
    } else {
      const { batch } = slot;
      const { verdicts } = reply;
      assert(
        verdicts.length > 0 && verdicts.length <= batch.length,
        "a verdict for each item, or the first ones",
      );
      slot.batch = [];
      slot.cached = reply.cached;
      slot.worker?.unref();
      lanes.putBack(batch.splice(verdicts.length));
      for (const [index, errors] of verdicts.entries()) {
        const job = batch[index];
        if (job === undefined) continue;
        lanes.note(job, reply.lastWasSlow && index === verdicts.length - 1 ? "slow" : "fast");
        job.settled.resolve(errors.length === 0 ? { ok: true } : { ok: false, errors });
      }
    }
    pump();
  }

  function overran(slot: Slot, index: number): void {
    overruns += 1;
    const job = takeBlamed(slot, index);
    job?.settled.resolve(refusal(job, `took longer than ${timeLimitMs} ms`));
    stop(slot);
    pump();
  }

  /** The item that the worker was at; the others of its batch go back to the head of their lanes. */
  function takeBlamed(slot: Slot, index: number): Job | undefined {
    const batch = slot.batch;
    slot.batch = [];
    const [blamed] = batch.splice(Math.max(index, 0), 1);
    if (blamed !== undefined) lanes.note(blamed, "slow");
    lanes.putBack(batch);
    return blamed;
  }

  /** A stopping slot takes no job until its thread is gone, so there are never more threads than slots. */
  function stop(slot: Slot): void {
    slot.state = "stopping";
    void slot.worker?.terminate();
  }

  function buried(slot: Slot): void {
    clearTimeout(slot.timer);
    const { state, failure } = slot;
    slot.worker = undefined;
    slot.cached = 0;
    slot.state = "empty";
    if (closed) return;
    if (state !== "stopping") crashes += 1;
    const job = takeBlamed(slot, state === "ready" ? readProgress(slot.progress).index : 0);
    if (job !== undefined) {
      job.deaths += 1;
      if (job.deaths < 2) lanes.putBack([job]);
      else if (state === "ready") job.settled.resolve(refusal(job, causeOf(failure, heapMb)));
      else job.settled.reject(new Error("the schema worker does not start", { cause: failure }));
    }
    pump();
  }

  return {
    async check(schema) {
      const errors = measureSchema(schema);
      return errors.length > 0 ? { ok: false, errors } : submit({ kind: "check", schema });
    },
    validate: (key, schema, value) => submit({ kind: "validate", key, schema, value }),
    stats: () => ({
      waiting: lanes.size,
      cached: slots.reduce((sum, slot) => sum + slot.cached, 0),
      overruns,
      crashes,
    }),
    async [Symbol.asyncDispose]() {
      closed = true;
      const jobs = [...lanes.drain(), ...slots.flatMap((slot) => slot.batch)];
      for (const job of jobs) job.settled.reject(new SchemaCheckClosed("the schema check is closed"));
      for (const slot of slots) clearTimeout(slot.timer);
      await Promise.all(slots.map((slot) => slot.worker?.terminate()));
    },
  };
}

function causeOf(failure: unknown, heapMb: number): string {
  const outOfMemory =
    failure instanceof Error && "code" in failure && failure.code === "ERR_WORKER_OUT_OF_MEMORY";
  return outOfMemory ? `needed more than ${heapMb} MB of memory` : "made the checker fail";
}

function refusal({ request }: Job, what: string): SchemaVerdict {
  const detail =
    request.kind === "check"
      ? `checking this schema ${what}; make it simpler`
      : `checking this value against its type's schema ${what}; make the schema or the value simpler`;
  return { ok: false, errors: [{ pointer: "", detail }] };
}
