// The thread of one agent: loads its module, and handles events one attempt at a time, as it is told.
// In: a module, a config, events. Out: what became of each, and calls to the broker. Never: the broker's memory, environment or arguments.
import { pathToFileURL } from "node:url";
import { parentPort, workerData } from "node:worker_threads";
import { type Agent, checkAgent, readConfig } from "../../agents/define.ts";
import { type Json, type Port, PortError } from "../../agents/port.ts";
import { openRuntime, type Runtime } from "../../agents/runtime.ts";
import type { Definition, FromThread, Task, ThreadData, ToThread } from "./words.ts";

const { task } = workerData as ThreadData;
const calls = new Map<number, { resolve: (gives: never) => void; reject: (error: Error) => void }>();
const aborts = new Map<number, AbortController>();
let count = 0;
let runtime: Runtime | undefined;

function say(word: FromThread): void {
  parentPort?.postMessage(word);
}

const port: Port = (run, call, takes) =>
  new Promise((resolve, reject) => {
    const c = ++count;
    calls.set(c, { resolve: resolve as (gives: never) => void, reject });
    say({ is: "call", c, run, call, takes });
  });

function definitionOf(agent: Agent): Definition {
  const { name, version, description, config, permissions, on, mode, concurrency, timeLimit } = agent;
  // Schemas made with TypeBox are JSON, besides marks that only TypeBox reads.
  const schema = config && (JSON.parse(JSON.stringify(config)) as Definition["config"]);
  return { name, version, description, config: schema, permissions, on, mode, concurrency, timeLimit };
}

function textOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

async function handle({ n, event, run }: Extract<ToThread, { is: "handle" }>): Promise<void> {
  const abort = new AbortController();
  aborts.set(n, abort);
  try {
    if (runtime === undefined) throw new Error("the agent is not loaded");
    say({ is: "ended", n, outcome: await runtime.handle(event, run, abort.signal) });
  } catch (error) {
    const { name = "Error", message = String(error) } = (error ?? {}) as Partial<Error>;
    say({ is: "failed", n, name: String(name), message: String(message) });
  } finally {
    aborts.delete(n);
  }
}

function hear(word: ToThread): void {
  switch (word.is) {
    case "load":
      void describe(word.file);
      return;
    case "handle":
      void handle(word);
      return;
    case "abort":
      aborts.get(word.n)?.abort(new Error(word.reason));
      return;
    case "ping":
      say({ is: "pong" });
      return;
    default: {
      const call = calls.get(word.c);
      calls.delete(word.c);
      if (word.is === "answer") call?.resolve(word.gives as never);
      else call?.reject(new PortError(word.code, word.message));
    }
  }
}

async function load(file: string): Promise<Agent> {
  return checkAgent(((await import(pathToFileURL(file).href)) as { default?: unknown }).default);
}

async function describe(file: string): Promise<void> {
  try {
    say({ is: "ready", definition: definitionOf(await load(file)) });
  } catch (error) {
    say({ is: "broken", error: textOf(error) });
  }
}

async function check(file: string, config: Json): Promise<void> {
  const read = readConfig(await load(file), config);
  if ("problems" in read) say({ is: "checked", problems: read.problems, config: null });
  else say({ is: "checked", problems: [], config: read.config as Json });
}

async function run({ file, config, who }: Extract<Task, { is: "run" }>): Promise<void> {
  const agent = await load(file);
  runtime = openRuntime(agent, config, port, who, Date.now);
  say({ is: "ready", definition: definitionOf(agent) });
  parentPort?.on("message", hear);
}

try {
  if (task.is === "describe") parentPort?.on("message", hear);
  else await (task.is === "check" ? check(task.file, task.config) : run(task));
} catch (error) {
  say({ is: "broken", error: textOf(error) });
}
