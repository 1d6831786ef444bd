// Shapes: agents as they are shown: those that are installed, and those that somebody runs.
// In: kinds and records. Out: shapes. Never: where on the disk a module lies.
import { timestamp } from "../core/event.ts";
import type { Kind } from "./catalog.ts";
import type { Record } from "./records.ts";
import { nodeOf } from "./who.ts";
import type { Broken } from "./words.ts";

export interface KindShape {
  readonly agent: string;
  readonly version?: string;
  readonly description?: string;
  readonly permissions: readonly string[];
  /** JSON Schema. */
  readonly config: unknown;
  readonly mode?: string;
  /** Why it cannot be run. */
  readonly broken?: string;
}

export interface AgentShape {
  readonly id: string;
  readonly agent: string;
  /** Of the module, when it was set up. */
  readonly version: string;
  /** Its own address. */
  readonly node: string;
  readonly owner: string;
  readonly config: Record["config"];
  readonly enabled: boolean;
  readonly state: "running" | "disabled" | "failed";
  readonly reason?: string;
  readonly since: string;
}

export function kindShape({ definition }: Kind): KindShape {
  const { name, version, description, permissions, config, mode } = definition;
  return {
    agent: name,
    version,
    ...(description !== undefined && { description }),
    permissions,
    config: config ?? { type: "object" },
    mode: mode ?? "queued",
  };
}

export function brokenShape({ file, reason }: Broken): KindShape {
  const agent = /([^/\\]+)\.[a-z]+$/.exec(file)?.[1] ?? "";
  return { agent, permissions: [], config: {}, broken: reason };
}

export function agentShape(record: Record): AgentShape {
  const { id, agent, version, owner, config, isEnabled, failed, sinceMs } = record;
  return {
    id,
    agent,
    version,
    node: nodeOf(record).text,
    owner,
    config,
    enabled: isEnabled,
    state: isEnabled ? (failed === undefined ? "running" : "failed") : "disabled",
    ...(failed !== undefined && { reason: failed }),
    since: timestamp(sinceMs),
  };
}
