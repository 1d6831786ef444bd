// Events: what a watcher is told, as CloudEvents 1.0 in structured JSON (https://github.com/cloudevents/spec, v1.0.2).
// In: what happened. Out: one CloudEvent. Never: a decision about who may hear it.
import type { Json } from "./json.ts";
import type { Cause, ChangeReason, Lease, View } from "./property.ts";
import { remembered } from "./remembered.ts";

const typePrefix = "dev.tidings.";

export interface TidingsEvent {
  readonly specversion: "1.0";
  readonly id: string;
  readonly source: string;
  readonly subject?: string;
  readonly type: string;
  readonly time: string;
  /** W3C trace context, by the CloudEvents extension for distributed tracing. */
  readonly traceparent?: string;
  /** How many agents reacted to each other until it came to this; absent: none. An extension attribute. */
  readonly hops?: number;
  readonly data: { readonly [key: string]: Json };
}

/** A lease as readers see it: seconds, and the RFC 3339 time at which it ends. */
export interface LeaseShape {
  id: string;
  seconds: number;
  until: string;
  default?: Json;
}

/** Seconds that were written out: times come in runs, now and when leases end, and a date takes longer than all around it. */
const secondText = remembered(256, (second: number) =>
  new Date(second * 1000).toISOString().slice(0, -"000Z".length),
);

/** RFC 3339 UTC with milliseconds. */
export function timestamp(ms: number): string {
  const whole = Math.floor(ms);
  const second = Math.floor(whole / 1000);
  return `${secondText(second)}${String(whole - second * 1000).padStart(3, "0")}Z`;
}

export function leaseShape(lease: Lease): LeaseShape {
  const { id, seconds, untilMs } = lease;
  const shape: LeaseShape = { id, seconds, until: timestamp(untilMs) };
  if (lease.default !== undefined) shape.default = lease.default;
  return shape;
}

export interface PropertyChange {
  readonly epoch: string;
  readonly node: string;
  readonly name: string;
  readonly revision: number;
  readonly timeMs: number;
  readonly cause?: Cause | undefined;
}

export function propertyChanged(
  change: PropertyChange,
  view: View,
  reason: "set" | "expired" | "snapshot",
): TidingsEvent {
  const data: Record<string, Json> = {
    node: change.node,
    name: change.name,
    value: view.value,
    revision: change.revision,
    by: view.by,
    reason,
  };
  if (view.lease) data.lease = { ...leaseShape(view.lease) };
  return propertyEvent(change, "property.changed", data);
}

export function propertyRemoved(change: PropertyChange, reason: ChangeReason): TidingsEvent {
  const data = {
    node: change.node,
    name: change.name,
    revision: change.revision,
    reason: reason === "expired" ? "expired" : "deleted",
  };
  return propertyEvent(change, "property.removed", data);
}

export interface NodeRegistration {
  readonly epoch: string;
  readonly node: string;
  readonly kind: string;
  readonly revision: number;
  readonly timeMs: number;
}

export function nodeRegistered({ epoch, node, kind, revision, timeMs }: NodeRegistration): TidingsEvent {
  return {
    specversion: "1.0",
    id: `${epoch}-${revision}`,
    source: `/nodes/${node}`,
    type: `${typePrefix}node.registered`,
    time: timestamp(timeMs),
    data: { node, kind },
  };
}

export interface NodeMove {
  readonly epoch: string;
  readonly node: string;
  /** Where it is watched from now on; the node itself where that is so again. */
  readonly to: string;
  readonly untilMs: number | undefined;
  /** The subscription that goes along, where it has a name. */
  readonly subscription: string | undefined;
  readonly position: number;
  readonly timeMs: number;
}

/** To whoever watches a node: where that node is found now. */
export function nodeMoved(move: NodeMove): TidingsEvent {
  const { epoch, node, to, untilMs, subscription, position, timeMs } = move;
  return {
    specversion: "1.0",
    id: `${epoch}-${position}-${to}-${subscription ?? ""}-moved`,
    source: `/nodes/${node}`,
    type: `${typePrefix}node.moved`,
    time: timestamp(timeMs),
    data: {
      node,
      to,
      ...(untilMs !== undefined && { until: timestamp(untilMs) }),
      ...(subscription !== undefined && { subscription }),
    },
  };
}

export type SubscriptionState = "active" | "pending" | "ended";

export interface SubscriptionChange {
  readonly subscriber: string;
  readonly id: string;
  readonly target: string;
  readonly state: SubscriptionState;
  readonly reason?: string | undefined;
  readonly timeMs: number;
  /** Tells one change of the same subscription from another. */
  readonly mark: string;
}

/** To the watcher: what became of its subscription. */
export function subscriptionEvent(change: SubscriptionChange): TidingsEvent {
  const { subscriber, id, target, state, reason, timeMs, mark } = change;
  const data = reason === undefined ? { id, target } : { id, target, reason };
  return {
    specversion: "1.0",
    id: `${id}-${mark}-${state}`,
    source: `/nodes/${subscriber}`,
    type: `${typePrefix}subscription.${state}`,
    time: timestamp(timeMs),
    data,
  };
}

/** To whoever keeps a standing query. */
export function matchEvent(match: {
  readonly id: string;
  readonly isIn: boolean;
  readonly timeMs: number;
  readonly data: { readonly subscription: string; readonly node: string; readonly properties: Json };
}): TidingsEvent {
  const { id, isIn, timeMs, data } = match;
  return {
    specversion: "1.0",
    id,
    source: `/nodes/${data.node}`,
    type: `${typePrefix}match.${isIn ? "entered" : "left"}`,
    time: timestamp(timeMs),
    data,
  };
}

/** To a group's watchers, its owner, and whom it is about. */
export function memberEvent(
  epoch: string,
  turn: {
    readonly group: string;
    readonly member: string;
    readonly standing: "member" | "asking" | "gone";
    readonly position: number;
    readonly timeMs: number;
  },
): TidingsEvent {
  const { group, member, standing, position, timeMs } = turn;
  const type = { member: "joined", asking: "pending", gone: "left" }[standing];
  return {
    specversion: "1.0",
    id: `${epoch}-${position}`,
    source: `/nodes/${group}`,
    type: `${typePrefix}member.${type}`,
    time: timestamp(timeMs),
    data: { group, member },
  };
}

/** To whoever is watched: what somebody does there, or tried. */
export function noticeEvent(notice: {
  readonly id: string;
  readonly node: string;
  readonly state: "started" | "fetched" | "pending" | "ended" | "denied";
  readonly timeMs: number;
  readonly data: { readonly [key: string]: Json };
}): TidingsEvent {
  const { id, node, state, timeMs, data } = notice;
  return {
    specversion: "1.0",
    id,
    source: `/nodes/${node}`,
    type: `${typePrefix}watcher.${state}`,
    time: timestamp(timeMs),
    data,
  };
}

/** To a recipient: a message. A redelivery is the same event. */
export function messageReceived(message: {
  readonly id: string;
  readonly node: string;
  readonly timeMs: number;
  readonly hops?: number | undefined;
  readonly data: { readonly [key: string]: Json };
}): TidingsEvent {
  const { id, node, timeMs, hops, data } = message;
  return {
    specversion: "1.0",
    id,
    source: `/nodes/${node}`,
    type: `${typePrefix}message.received`,
    time: timestamp(timeMs),
    ...(hops && { hops }),
    data,
  };
}

/** To a sender: what became of its message. */
export function receiptEvent(receipt: {
  readonly id: string;
  readonly sender: string;
  readonly by: string;
  readonly state: "delivered" | "read";
  readonly atMs: number;
}): TidingsEvent {
  const { id, sender, by, state, atMs } = receipt;
  const at = timestamp(atMs);
  return {
    specversion: "1.0",
    id: `${id}-${by}-${state}`,
    source: `/nodes/${sender}`,
    type: `${typePrefix}message.${state}`,
    time: at,
    data: { id, to: by, at },
  };
}

/** An event about the stream itself: live, bookmark, reset. `about` is the account it belongs to, or "anonymous". */
export function streamEvent(
  kind: "live" | "bookmark" | "reset",
  about: string,
  id: string,
  timeMs: number,
  data: { [key: string]: Json } = {},
): TidingsEvent {
  return {
    specversion: "1.0",
    id: `${id}-${kind}`,
    source: `/nodes/${about}`,
    type: `${typePrefix}stream.${kind}`,
    time: timestamp(timeMs),
    data,
  };
}

function propertyEvent(change: PropertyChange, type: string, data: { [key: string]: Json }): TidingsEvent {
  return {
    specversion: "1.0",
    // A redelivery of the same revision carries the same id.
    id: `${change.epoch}-${change.revision}-${change.name}`,
    source: `/nodes/${change.node}`,
    subject: change.name,
    type: `${typePrefix}${type}`,
    time: timestamp(change.timeMs),
    ...(change.cause?.trace !== undefined && { traceparent: change.cause.trace }),
    ...(change.cause?.hops && { hops: change.cause.hops }),
    data,
  };
}
