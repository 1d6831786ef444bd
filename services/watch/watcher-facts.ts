// Watcher facts: who watches or reads, under the node of whoever is watched.
// In: bodies of facts. Out: what the watched party is told. Never: a word of it under any other node.
import { type Address, rootOf } from "../core/address.ts";
import { noticeEvent, type TidingsEvent } from "../core/event.ts";
import type { Json } from "../core/json.ts";
import { oncePerFact } from "../store/decoded.ts";
import type { Fact } from "../store/log.ts";
import { nameOf, subjectOf } from "../store/subjects.ts";

/** What a watcher does or tried: the last word of each event type `watcher.*`. */
export type WatcherState = "started" | "fetched" | "pending" | "ended" | "denied";

/** How the broker knows who the watcher is. */
export interface Verification {
  readonly by: "local-account" | "oidc";
  readonly email?: "confirmed" | "unconfirmed" | undefined;
}

export interface WatcherFact {
  readonly watcher: string;
  readonly state: WatcherState;
  /** The node that is watched or was read. */
  readonly node: string;
  /** Names and patterns. */
  readonly properties: readonly string[];
  /** How: rest, poll, sse, websocket. */
  readonly via: string;
  readonly atMs: number;
  readonly sinceMs: number;
  /** The subscription, where the watcher keeps one. */
  readonly subscription?: string | undefined;
  /** What the watcher disclosed: values of its own properties by name. */
  readonly revealed?: Readonly<Record<string, Json>> | undefined;
  readonly verified?: Verification | undefined;
  /** Reads since the owner was last told of them. */
  readonly count?: number | undefined;
  /** Whether anything was ever granted to it here; absent in facts of before this was recorded. */
  readonly wasLetIn?: boolean | undefined;
}

/** What tells one thing that a watcher does from another: the subscription, or what it read. */
export type Key = `w${string}` | `r${string}`;

export const anonymous = "anonymous";

export function watcherSubject(node: Address, watcher: string, key: Key): string {
  return subjectOf(rootOf(node), "watcher", `${watcher} ${key}`);
}

export const watcherOf = oncePerFact((fact: Fact): WatcherFact | undefined => {
  const body = JSON.parse(fact.body) as Omit<WatcherFact, "watcher"> & { state?: WatcherState };
  if (body.state === undefined) return undefined;
  const [watcher = ""] = nameOf(fact.subject).split(" ");
  return { ...body, watcher };
});

/** What facts of before this was recorded do not say, their state does. */
export function wasLetIn({ wasLetIn, state }: Pick<WatcherFact, "wasLetIn" | "state">): boolean {
  return wasLetIn ?? (state !== "pending" && state !== "denied");
}

export function watcherBody({ watcher, ...fact }: WatcherFact): string {
  return JSON.stringify(fact);
}

/** What the owner of the watched node is told. */
export function watcherEvent(fact: WatcherFact, id: string): TidingsEvent {
  const { watcher, state, node, properties, via, subscription, revealed, verified, count, atMs } = fact;
  const data: Record<string, Json> = {
    watcher,
    properties: [...properties],
    revealed: revealed ?? {},
    via,
  };
  if (subscription !== undefined) data.subscription = subscription;
  if (verified !== undefined) data.verified = JSON.parse(JSON.stringify(verified));
  if (count !== undefined && count > 1) data.count = count;
  return noticeEvent({ id, node, state, timeMs: atMs, data });
}
