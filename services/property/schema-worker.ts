// The thread that compiles users' schemas and applies them, so that what they cost is not the broker's.
// In: batches of requests from schema-check.ts, one at a time. Out: the errors of each, none if it fits.
// Never: I/O, an unbounded cache, or a time limit of its own: the main thread ends it from outside.

import assert from "node:assert/strict";
import { parentPort, workerData } from "node:worker_threads";
import { BrokenSchema, createUserCompiler, type Validate } from "./ajv.ts";
import { beginItem, type Progress } from "./schema-progress.ts";
import type { SchemaError } from "./schema-rules.ts";

export type WorkerRequest =
  | { kind: "check"; schema: object }
  | { kind: "validate"; key: string; schema: object; value: unknown };
/** Verdicts are for the first items of the batch: what comes after a slow one is handed back, to be sent again. */
export type WorkerReply =
  | { kind: "ready" }
  | { kind: "verdicts"; verdicts: SchemaError[][]; lastWasSlow: boolean; cached: number };

assert(parentPort !== null, "schema-worker.ts runs as a worker of schema-check.ts only");
const port = parentPort;
const { cacheMax, progress } = workerData as { cacheMax: number; progress: Progress };
const compile = createUserCompiler();
/** Insertion order is order of use: the first is the one to let go. */
const cache = new Map<string, Validate>();

/** A type that took longer waits for others like it (schema-lanes.ts); a batch that did is cut short. */
const SLOW_MS = 20;
/** What a schema must have an answer for, however little fits it; finds schemas that recurse without a value. */
const PROBES: unknown[] = [null, true, 0, "", [], {}];

function check(schema: object): SchemaError[] {
  const compiled = compile(schema);
  if ("errors" in compiled) return compiled.errors;
  for (const probe of PROBES) compiled.validate(probe);
  return [];
}

function validate(key: string, schema: object, value: unknown): SchemaError[] {
  let validator = cache.get(key);
  if (validator === undefined) {
    const compiled = compile(schema);
    if ("errors" in compiled) {
      const details = compiled.errors.map((error) => `${error.pointer} ${error.detail}`.trim());
      throw new BrokenSchema(`the type's schema cannot be used: ${details.join("; ")}`);
    }
    validator = compiled.validate;
  }
  cache.delete(key);
  cache.set(key, validator);
  if (cache.size > cacheMax) {
    const oldest = cache.keys().next();
    if (!oldest.done) cache.delete(oldest.value);
  }
  return validator(value);
}

function answer(request: WorkerRequest): SchemaError[] {
  try {
    return request.kind === "check"
      ? check(request.schema)
      : validate(request.key, request.schema, request.value);
  } catch (error) {
    if (error instanceof BrokenSchema) return [{ pointer: "", detail: error.message }];
    throw error;
  }
}

function reply(message: WorkerReply): void {
  port.postMessage(message);
}

port.on("message", (batch: WorkerRequest[]) => {
  const verdicts: SchemaError[][] = [];
  const batchBegan = performance.now();
  let lastWasSlow = false;
  for (const [index, request] of batch.entries()) {
    beginItem(progress, index);
    const began = performance.now();
    verdicts.push(answer(request));
    const ended = performance.now();
    lastWasSlow = ended - began > SLOW_MS;
    if (ended - batchBegan > SLOW_MS) break;
  }
  reply({ kind: "verdicts", verdicts, lastWasSlow, cached: cache.size });
});

// The first use of the compiler and the meta-schema is slow; it must not count against the first user's time.
check({ type: "object", properties: { warm: { type: "string", pattern: "^a+$", format: "date" } } });
reply({ kind: "ready" });
