// Definitions: what an agent is, told once, and checked when it is told.
// In: what an author writes. Out: an agent that hosts can run, or an error that says what to do. Never: a run.
import type { Static, TObject } from "typebox";
import { Value } from "typebox/value";
import { AgentError, shown } from "./agent-error.ts";
import { compileQuery, compileWhere } from "./cel.ts";
import type { Context } from "./context.ts";
import type { Mode } from "./dispatch.ts";
import type { AgentEvent, TimerEvent } from "./events.ts";
import { isAddress, isPattern } from "./names.ts";
import { mayRead, type Permission, parsePermission, permissionsMax } from "./permissions.ts";
import type { Json } from "./port.ts";
import type { EventOf, Trigger } from "./triggers.ts";

type EmptyConfig = TObject<Record<never, never>>;

/** An agent as hosts know it. */
export interface Agent {
  readonly name: string;
  readonly version: string;
  readonly description?: string | undefined;
  /** JSON Schema, made with TypeBox. */
  readonly config?: TObject | undefined;
  readonly permissions: readonly string[];
  readonly on: readonly Trigger[];
  readonly mode?: Mode | undefined;
  readonly concurrency?: number | undefined;
  readonly timeLimit?: number | undefined;
  readonly ignoreSelf?: boolean | undefined;
  handle(event: AgentEvent, ctx: Context): unknown;
}

export interface Definition<On extends readonly Trigger[], Config extends TObject> {
  /** Lower-case letters, digits and hyphens, at most 63. */
  readonly name: string;
  /** Semantic: 1.0.0 */
  readonly version: string;
  readonly description?: string;
  readonly config?: Config;
  readonly permissions: readonly string[];
  readonly on: On;
  /** What happens to an event whose node another run is about: `queued` (it waits) unless told otherwise. */
  readonly mode?: Mode;
  /** Runs at the same time, 16 unless told otherwise. */
  readonly concurrency?: number;
  /** Milliseconds for one attempt, 30,000 unless told otherwise. */
  readonly timeLimit?: number;
  /** Hears nothing that it did itself, unless false. */
  readonly ignoreSelf?: boolean;
  /** Timers that it sets come to it without a trigger. */
  handle(event: EventOf<On[number]> | TimerEvent, ctx: Context<Static<Config>>): unknown;
}

const namePattern = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const versionPattern = /^\d+\.\d+\.\d+(?:[-+][0-9A-Za-z.+-]{1,64})?$/;
const modes: readonly unknown[] = ["queued", "restart", "single", "parallel"];
const triggersMax = 32;
const namesMax = 100;
const concurrencyMax = 256;
const timeLimitMax = 15 * 60_000;

/** @throws AgentError at once, so that a wrong agent fails where it is written */
export function defineAgent<const On extends readonly Trigger[], Config extends TObject = EmptyConfig>(
  definition: Definition<On, Config>,
): Agent {
  return checkAgent(definition);
}

/**
 * What a module exports by default, if it is an agent. It need not come from the same copy of this file.
 * @throws AgentError that says what is wrong
 */
export function checkAgent(given: unknown): Agent {
  if (typeof given !== "object" || given === null) {
    throw new AgentError("a module of an agent exports it by default: export default defineAgent({…})");
  }
  const agent = given as Agent;
  const { name, version, description, config, permissions, on, mode, concurrency, timeLimit } = agent;
  const demand = (isRight: boolean, what: string) => {
    if (!isRight) throw new AgentError(`agent "${shown(name)}": ${what}`);
  };
  demand(
    typeof name === "string" && namePattern.test(name),
    "its name has lower-case letters, digits and hyphens, at most 63",
  );
  demand(
    typeof version === "string" && versionPattern.test(version),
    "its version is semantic, such as 1.0.0",
  );
  demand(
    description === undefined || (typeof description === "string" && description.length <= 1024),
    "its description is text of at most 1,024 characters",
  );
  demand(typeof agent.handle === "function", "it needs a function handle(event, ctx)");
  demand(mode === undefined || modes.includes(mode), `its mode is one of ${modes.join(", ")}`);
  demand(
    isCount(concurrency, concurrencyMax),
    `its concurrency is a whole number from 1 to ${concurrencyMax}`,
  );
  demand(
    isCount(timeLimit, timeLimitMax),
    `its timeLimit is in milliseconds, a whole number from 1 to ${timeLimitMax}`,
  );
  demand(
    config === undefined || (config as { type?: unknown }).type === "object",
    "its config is a schema made with Type.Object({…})",
  );
  demand(
    Array.isArray(permissions) && permissions.length <= permissionsMax,
    `its permissions are a list, at most ${permissionsMax}`,
  );
  demand(
    Array.isArray(on) && on.length > 0 && on.length <= triggersMax,
    "`on` lists what it listens to, at least one: property(…), message(), watcher(), match(…), started()",
  );
  try {
    const granted = permissions.map((one) => parsePermission(String(one)));
    for (const trigger of on) checkTrigger(trigger, granted, config);
  } catch (error) {
    if (error instanceof AgentError) throw new AgentError(`agent "${name}": ${error.message}`);
    throw error;
  }
  return agent;
}

function isCount(given: unknown, max: number): boolean {
  return given === undefined || (Number.isInteger(given) && Number(given) >= 1 && Number(given) <= max);
}

function checkTrigger(trigger: Trigger, granted: readonly Permission[], config: TObject | undefined): void {
  const need = (permission: Permission["kind"], why: string) => {
    if (granted.some(({ kind }) => kind === permission)) return;
    throw new AgentError(`${why}: add "${permission}" to its permissions`);
  };
  switch (trigger?.on) {
    case "property": {
      const { names, of, depth, where } = trigger;
      if (!Array.isArray(names) || names.length === 0 || names.length > namesMax) {
        throw new AgentError(`property(…) takes a name or a list of at most ${namesMax}`);
      }
      for (const name of names) {
        if (!isPattern(name)) {
          throw new AgentError(
            `property("${shown(name)}"): a name has lower-case letters, digits, dots and hyphens; a pattern is * or ends in .*`,
          );
        }
        if (mayRead(granted, name)) continue;
        throw new AgentError(`property("${name}") must be allowed: add "read:${name}" to its permissions`);
      }
      checkOf(of, config);
      if (!["0", "1", "infinity"].includes(depth)) {
        throw new AgentError(`depth is "0", "1" or "infinity", not ${shown(depth)}`);
      }
      if (where !== undefined) compileWhere(where);
      return;
    }
    case "message":
      if (trigger.of !== "owner" && trigger.of !== "self") {
        throw new AgentError('message({of}): of is "owner" or "self"');
      }
      if (trigger.of === "owner") need("inbox", "message() hears what is sent to its owner");
      if (trigger.where !== undefined) compileWhere(trigger.where);
      return;
    case "watcher":
      need("watchers", "watcher() hears who wants to know of its owner");
      return;
    case "match":
      need("find", "match(…) searches the directory");
      if (trigger.q === undefined && trigger.where === undefined) {
        throw new AgentError(
          'match(…) takes q, where or both: match({ where: \'prop("travel").city == "Oslo"\' })',
        );
      }
      if (trigger.where !== undefined) compileQuery(trigger.where);
      return;
    case "started":
      return;
    default:
      throw new AgentError(
        `${shown(trigger)} is no trigger; there are property(…), message(), watcher(), match(…), started()`,
      );
  }
}

function checkOf(of: string, config: TObject | undefined): void {
  if (of === "owner" || of === "contacts") return;
  if (of.startsWith("config.")) {
    if (config && Object.hasOwn(config.properties, of.slice(7))) return;
    throw new AgentError(`of: "${shown(of)}": the config has no such key; add it to its schema`);
  }
  if (isAddress(of)) return;
  throw new AgentError(
    `of: "${shown(of)}": write "owner", "contacts", an address in lower case, or "config.<key>"`,
  );
}

export interface ConfigProblem {
  /** JSON Pointer. */
  readonly pointer: string;
  readonly detail: string;
}

/** A config with its defaults filled in, or what does not fit the agent's schema. Without a schema it is {}. */
export function readConfig(
  agent: Agent,
  given: unknown,
): { readonly config: { readonly [key: string]: Json } } | { readonly problems: readonly ConfigProblem[] } {
  if (agent.config === undefined) return { config: {} };
  const config = Value.Default(agent.config, structuredClone(given ?? {}));
  if (Value.Check(agent.config, config)) return { config: config as { [key: string]: Json } };
  const problems = Value.Errors(agent.config, config).map(({ instancePath, message }) => ({
    pointer: instancePath,
    detail: message,
  }));
  return { problems };
}
