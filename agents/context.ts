// Context: what a handler can do, made of the calls of the port.
// In: a run and its port. Out: calls, each effect with a key that is the same when the event is told again. Never: an effect after the run.
import { AsyncLocalStorage } from "node:async_hooks";
import { hash } from "node:crypto";
import { AgentError, shown } from "./agent-error.ts";
import { dueMs } from "./durations.ts";
import type { Calls, FindWish, FoundNode, Json, LeaseWish, LogLevel, Port, Property, Run } from "./port.ts";
import type { Who } from "./triggers.ts";

export interface SetOptions {
  readonly lease?: LeaseWish;
  /** The revision that it must have; 0: it must not be there. Else the error's code is `revision-mismatch`. */
  readonly ifMatch?: number;
  /** One of several values that devices hold at the same time. */
  readonly view?: string;
}

export interface Place {
  readonly node: string;
  readonly name: string;
}

/** Text is sent as text/plain. */
export type Outgoing =
  | string
  | { readonly text: string; readonly expiresIn?: number }
  | {
      readonly contentType: string;
      readonly content: string;
      /** Seconds that it is held for the absent. */
      readonly expiresIn?: number;
    };

export interface FetchOptions {
  readonly method?: string;
  readonly headers?: { readonly [name: string]: string };
  /** What is not text is sent as JSON. */
  readonly body?: Json;
}

export interface Fetched {
  readonly status: number;
  /** 200 to 299. */
  readonly ok: boolean;
  readonly headers: { readonly [name: string]: string };
  /** At most 1 MiB of text. */
  readonly body: string;
}

type Say = (text: string, data?: Json) => void;

/** Every call rejects with a PortError where it is refused, and when the run is over. */
export interface Context<Config = object> {
  /** The agent's own address. */
  readonly node: string;
  /** On whose behalf it runs. */
  readonly owner: string;
  readonly config: Config;
  /** How many agents' reactions led to the event. */
  readonly hops: number;
  /** Aborted when the run is to end: its time is up, a newer event restarts it, the agent is stopped. */
  readonly signal: AbortSignal;
  /** Milliseconds since 1970. */
  now(): number;
  /** Of the agent's own node, or of another. Undefined where there is none that it may see. */
  get(name: string): Promise<Property | undefined>;
  get(node: string, name: string): Promise<Property | undefined>;
  set(where: string | Place, value: Json, options?: SetOptions): Promise<{ readonly revision: number }>;
  remove(where: string | Place): Promise<void>;
  send(to: string, message: Outgoing): Promise<{ readonly id: string }>;
  find(query: FindWish): Promise<readonly FoundNode[]>;
  /** What the agent keeps from run to run, by key. */
  readonly state: {
    /** `T` is what the agent kept there: nobody else writes it. */
    get<T = Json>(key: string): Promise<T | undefined>;
    /** What is JSON. */
    set(key: string, value: unknown): Promise<void>;
    delete(key: string): Promise<void>;
  };
  /**
   * Does it once for the event: when the event is told again, it answers what it answered, without doing it. What it
   * answers must be JSON. A name is used once in a run.
   */
  step<T>(name: string, does: () => T | Promise<T>): Promise<T>;
  /** A timer, in place of one of the same name: `P1D`, `PT10M`, `10m`, milliseconds, or a date. */
  schedule(name: string, when: string | number | Date, data?: Json): Promise<void>;
  cancel(name: string): Promise<void>;
  /** What is not GET carries an `idempotency-key` that is the same when the event is told again. */
  fetch(url: string, options?: FetchOptions): Promise<Fetched>;
  readonly log: { readonly debug: Say; readonly info: Say; readonly warn: Say; readonly error: Say };
}

const markMax = 255;
/** Which step a call is made in. */
const steps = new AsyncLocalStorage<string>();

export interface ContextDeps<Config> {
  readonly port: Port;
  readonly run: Run;
  readonly who: Who;
  readonly config: Config;
  readonly signal: AbortSignal;
  now(): number;
}

/** @returns the context, and a function that ends it: no call is made from then on */
export function openContext<Config>({ port, run, who, config, signal, now }: ContextDeps<Config>): {
  context: Context<Config>;
  close(): void;
} {
  let isOpen = true;
  const counts = new Map<string, number>();
  const used = new Set<string>();

  async function call<Call extends keyof Calls>(
    name: Call,
    takes: Calls[Call]["takes"],
  ): Promise<Calls[Call]["gives"]> {
    signal.throwIfAborted();
    if (!isOpen) throw new AgentError(`${name} was called after the run had ended: await every call`);
    const gives = await port(run, name, takes);
    signal.throwIfAborted();
    return gives;
  }

  /** The same for the same effect of the same run, and for no other. */
  function keyOf(what: keyof Calls, about: string): string {
    const place = JSON.stringify([who.id, run.id, steps.getStore() ?? null, what, about]);
    const count = (counts.get(place) ?? 0) + 1;
    counts.set(place, count);
    return `agent-${hash("sha256", `${place}${count}`, "base64url")}`;
  }

  const placeOf = (where: string | Place): Place =>
    typeof where === "string" ? { node: who.node, name: where } : where;

  const say = (level: LogLevel): Say => {
    return (text, data) => {
      if (!isOpen) return;
      const line = { level, text: String(text), ...(data !== undefined && { data }) };
      // A line that is not taken fails nothing.
      port(run, "log", line).catch(() => undefined);
    };
  };

  async function step<T>(name: string, does: () => T | Promise<T>): Promise<T> {
    requireMark("step", name);
    if (used.has(name)) {
      throw new AgentError(`the step "${shown(name)}" is there twice in this run: give each its own name`);
    }
    used.add(name);
    const known = await call("recallStep", { name });
    if (known) return known.value as T;
    const value = jsonOf(await steps.run(name, does), `the step "${shown(name)}"`);
    await call("keepStep", { name, value });
    return value as T;
  }

  const context: Context<Config> = {
    node: who.node,
    owner: who.owner,
    config,
    hops: run.hops,
    signal,
    now,
    get: (first: string, name?: string) =>
      call("get", name === undefined ? { node: who.node, name: first } : { node: first, name }),
    async set(where, value, options = {}) {
      const place = placeOf(where);
      const key = keyOf("set", `${place.node} ${place.name}`);
      return call("set", { ...place, value: jsonOf(value, "a value"), ...options, key });
    },
    async remove(where) {
      const place = placeOf(where);
      await call("remove", { ...place, key: keyOf("remove", `${place.node} ${place.name}`) });
    },
    async send(to, message) {
      const key = keyOf("send", to);
      if (typeof message === "string") return call("send", { to, content: message, key });
      if (!("text" in message)) return call("send", { to, ...message, key });
      const { text, ...rest } = message;
      return call("send", { to, content: text, ...rest, key });
    },
    find: (query) => call("find", query),
    state: {
      get: async <T>(key: string) => {
        requireMark("key of the state", key);
        return (await call("recallState", { key })) as T | undefined;
      },
      async set(key, value) {
        requireMark("key of the state", key);
        await call("keepState", { key, value: jsonOf(value, "what is kept") });
      },
      async delete(key) {
        requireMark("key of the state", key);
        await call("keepState", { key, value: undefined });
      },
    },
    step,
    async schedule(name, when, data = null) {
      requireMark("timer", name);
      const wish = { name, dueMs: dueMs(when, now()), data: jsonOf(data, "a timer's data") };
      await call("setTimer", { ...wish, key: keyOf("setTimer", name) });
    },
    async cancel(name) {
      requireMark("timer", name);
      await call("cancelTimer", { name });
    },
    fetch: async (url, options = {}) => fetched(await call("fetch", requestOf(url, options, keyOf))),
    log: { debug: say("debug"), info: say("info"), warn: say("warn"), error: say("error") },
  };
  return {
    context,
    close() {
      isOpen = false;
    },
  };
}

function requestOf(url: string, options: FetchOptions, keyOf: (what: "fetch", about: string) => string) {
  const { body } = options;
  const method = (options.method ?? (body === undefined ? "GET" : "POST")).toUpperCase();
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.headers ?? {})) headers[name.toLowerCase()] = value;
  if (method !== "GET" && method !== "HEAD")
    headers["idempotency-key"] ??= keyOf("fetch", `${method} ${url}`);
  if (body !== undefined && typeof body !== "string") headers["content-type"] ??= "application/json";
  return {
    url,
    method,
    headers,
    ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
  };
}

function fetched({ status, headers, body }: Calls["fetch"]["gives"]): Fetched {
  return { status, ok: status >= 200 && status < 300, headers, body };
}

function requireMark(what: string, name: unknown): void {
  if (typeof name === "string" && name.length > 0 && name.length <= markMax) return;
  throw new AgentError(`the name of a ${what} is text of 1 to ${markMax} characters, not "${shown(name)}"`);
}

/** What it is after a journey as JSON, so that it is the same the first time and later. */
function jsonOf(value: unknown, what: string): Json {
  try {
    return JSON.parse(JSON.stringify(value ?? null, refuseUnfit)) as Json;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new AgentError(`${what} must be JSON: ${why}`);
  }
}

function refuseUnfit(key: string, value: unknown): unknown {
  const isLost =
    typeof value === "function" ||
    typeof value === "symbol" ||
    (typeof value === "number" && !Number.isFinite(value)) ||
    value instanceof Map ||
    value instanceof Set;
  if (isLost) throw new Error(`${key === "" ? "it" : `"${key}"`} is ${shown(String(value))}`);
  return value;
}
