// Words: what the host's thread and the broker say to each other about one agent.
// In: nothing. Out: types. Never: a function or a secret across threads.

import type { AgentEvent } from "../../agents/events.ts";
import type { Calls, Json, Run } from "../../agents/port.ts";
import type { Trigger, Who } from "../../agents/triggers.ts";

/** What a module says of itself. */
export interface Definition {
  readonly name: string;
  readonly version: string;
  readonly description: string | undefined;
  /** JSON Schema. */
  readonly config: { readonly [key: string]: Json } | undefined;
  readonly permissions: readonly string[];
  readonly on: readonly Trigger[];
  readonly mode: "queued" | "restart" | "single" | "parallel" | undefined;
  readonly concurrency: number | undefined;
  readonly timeLimit: number | undefined;
}

export interface ConfigProblem {
  readonly pointer: string;
  readonly detail: string;
}

/** A module that cannot be used, and why. */
export interface Broken {
  readonly file: string;
  readonly reason: string;
}

/** What a thread is for: to say what modules are that it is then told to load, to check a config, or to handle events. */
export type Task =
  | { readonly is: "describe" }
  | { readonly is: "check"; readonly file: string; readonly config: Json }
  | {
      readonly is: "run";
      readonly file: string;
      readonly config: Json;
      readonly who: Omit<Who, "isContact">;
    };

export interface ThreadData {
  readonly task: Task;
  /** The folder that compiled code is kept in; undefined where none is kept. */
  readonly compiledIn: string | undefined;
}

export type ToThread =
  | { readonly is: "load"; readonly file: string }
  | { readonly is: "handle"; readonly n: number; readonly event: AgentEvent; readonly run: Run }
  | { readonly is: "abort"; readonly n: number; readonly reason: string }
  | { readonly is: "answer"; readonly c: number; readonly gives: unknown }
  | { readonly is: "refused"; readonly c: number; readonly code: string; readonly message: string }
  | { readonly is: "ping" };

export type FromThread =
  | { readonly is: "ready"; readonly definition: Definition }
  | { readonly is: "checked"; readonly problems: readonly ConfigProblem[]; readonly config: Json }
  | { readonly is: "broken"; readonly error: string }
  | { readonly is: "ended"; readonly n: number; readonly outcome: "handled" | "ignored" }
  | { readonly is: "failed"; readonly n: number; readonly name: string; readonly message: string }
  | {
      readonly is: "call";
      readonly c: number;
      readonly run: Run;
      readonly call: keyof Calls;
      readonly takes: unknown;
    }
  | { readonly is: "pong" };

/** To the process of the threads. */
export type ToProcess =
  | {
      readonly is: "start";
      readonly thread: number;
      readonly data: ThreadData;
      readonly memoryMb: number;
      readonly callsMax: number;
    }
  | { readonly is: "word"; readonly thread: number; readonly word: ToThread }
  | { readonly is: "end"; readonly thread: number };

export type FromProcess =
  | { readonly is: "word"; readonly thread: number; readonly word: FromThread }
  | { readonly is: "gone"; readonly thread: number; readonly why: string };
