// Events: what a handler hears, one type for each thing that can happen.
// In: a CloudEvent as the broker sends it. Out: the event, or nothing where no agent can listen to it. Never: a decision about who wants it.
import type { Json, Property } from "./port.ts";

interface Happening {
  /** The same when it is told again. */
  readonly id: string;
  /** RFC 3339, when it happened. */
  readonly time: string;
  /** What it is about: events of one node are handled one after the other. */
  readonly node: string;
  /** How many agents' reactions led to it; 0: a person did it. */
  readonly hops: number;
}

export interface Lease {
  readonly id: string;
  readonly seconds: number;
  /** RFC 3339. */
  readonly until: string;
  readonly default?: Json;
}

export interface PropertyChanged extends Happening {
  readonly type: "property.changed";
  readonly name: string;
  readonly value: Json;
  readonly revision: number;
  readonly by: string;
  /** `snapshot`: it had this value already when the agent came. */
  readonly reason: "set" | "expired" | "snapshot";
  readonly lease?: Lease;
  /** Changes in between that the agent was spared, since it was behind. */
  readonly skipped?: number;
}

export interface PropertyRemoved extends Happening {
  readonly type: "property.removed";
  readonly name: string;
  readonly revision: number;
  readonly reason: "deleted" | "expired";
  readonly skipped?: number;
}

export interface Message {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly contentType: string;
  readonly content?: string;
  readonly contentBase64?: string;
  /** RFC 3339. */
  readonly expires?: string;
}

/** `node` is whoever got it: the agent, its owner, or a node under them. */
export interface MessageReceived extends Happening {
  readonly type: "message.received";
  readonly message: Message;
}

/** Somebody watches or reads `node`, or asks to. */
export interface WatcherEvent extends Happening {
  readonly type:
    | "watcher.started"
    | "watcher.fetched"
    | "watcher.pending"
    | "watcher.ended"
    | "watcher.denied";
  readonly watcher: string;
  readonly properties: readonly string[];
  readonly via: string;
  readonly revealed?: { readonly [name: string]: Json };
}

/** `node` has come to match the agent's query, or has ceased to. */
export interface MatchEvent extends Happening {
  readonly type: "match.entered" | "match.left";
  /** What the agent may read of it; nothing of a node that has left. */
  readonly properties: { readonly [name: string]: Property };
}

/** `node` is the group. */
export interface MemberEvent extends Happening {
  readonly type: "member.joined" | "member.left";
  readonly member: string;
}

/** `node` is the agent's own. */
export interface TimerEvent extends Happening {
  readonly type: "timer";
  readonly name: string;
  readonly data: Json;
  /** When it should have fired, in ms since 1970. */
  readonly dueMs: number;
}

/** Once for each time that the agent is enabled. `node` is the agent's own. */
export interface Started extends Happening {
  readonly type: "started";
}

export type PropertyEvent = PropertyChanged | PropertyRemoved;
export type AgentEvent =
  | PropertyEvent
  | MessageReceived
  | WatcherEvent
  | MatchEvent
  | MemberEvent
  | TimerEvent
  | Started;

/** As much of a CloudEvent 1.0 as is read here. */
export interface CloudEvent {
  readonly id: string;
  readonly source: string;
  readonly type: string;
  readonly time?: string;
  /** Extension attribute: an integer, or its digits. */
  readonly hops?: number | string;
  readonly data?: unknown;
}

const prefix = "dev.tidings.";
type Data = { readonly [key: string]: never };
type Rest = Record<string, unknown>;

const readers: Readonly<Record<string, (data: Data) => Rest>> = {
  "property.changed": ({ name, value, revision, by, reason, lease, skipped }) => ({
    name,
    value,
    revision,
    by,
    reason,
    ...(lease !== undefined && { lease }),
    ...(skipped !== undefined && { skipped }),
  }),
  "property.removed": ({ name, revision, reason, skipped }) => ({
    name,
    revision,
    reason,
    ...(skipped !== undefined && { skipped }),
  }),
  "message.received": (data) => ({ message: data }),
  "watcher.started": watcher,
  "watcher.fetched": watcher,
  "watcher.pending": watcher,
  "watcher.ended": watcher,
  "watcher.denied": watcher,
  "match.entered": ({ properties }) => ({ properties: properties ?? {} }),
  "match.left": ({ properties }) => ({ properties: properties ?? {} }),
  "member.joined": ({ member }) => ({ member }),
  "member.left": ({ member }) => ({ member }),
};

function watcher({ watcher, properties, via, revealed }: Data): Rest {
  return { watcher, properties, via, ...(revealed !== undefined && { revealed }) };
}

/** Undefined for what no trigger listens to: events about streams, subscriptions, receipts and moves. */
export function eventOf(event: CloudEvent): AgentEvent | undefined {
  if (!event.type.startsWith(prefix)) return undefined;
  const type = event.type.slice(prefix.length);
  const read = Object.hasOwn(readers, type) ? readers[type] : undefined;
  const { data } = event;
  if (read === undefined || typeof data !== "object" || data === null) return undefined;
  const about = data as { readonly node?: string; readonly group?: string };
  // A message and a notice do not say in their data whose they are; their source does.
  const node = about.node ?? about.group ?? event.source.replace(/^\/nodes\//, "");
  const { id, time = new Date(0).toISOString(), hops } = event;
  return { type, id, time, node, hops: hopsOf(hops), ...read(data as Data) } as AgentEvent;
}

function hopsOf(given: number | string | undefined): number {
  const hops = Number(given ?? 0);
  return Number.isSafeInteger(hops) && hops > 0 ? hops : 0;
}
