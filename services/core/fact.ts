// Facts: what the log records, as JSON bodies.
// In: a decoded fact or a state. Out: text for the log, and back. Never: a body that came from outside unparsed.
import type { Json } from "./json.ts";
import type { Visibility } from "./policy.ts";
import type { NodeKind } from "./principal.ts";
import { type Lease, noViews, type PropertyState, type View } from "./property.ts";

export interface NodeFact {
  readonly nodeKind: NodeKind;
  readonly createdMs: number;
  /** Of a group: how others become members. */
  readonly joining?: Joining;
}

/** Everybody by themselves; whoever asks and is let in; or whom the owner puts in. */
export type Joining = "open" | "approval" | "invitation";

export interface TypeFact {
  readonly schema: { readonly [key: string]: Json };
  readonly visibility?: Visibility;
}

/** A fact that says that something is no more; the log forgets it after the resume window. */
export const tombstoneSeconds = 7 * 24 * 3600;

/** A reason, a keeper's name, a past and a cause, and room for them to grow. */
const tombstoneLengthMax = 240;

interface WireView {
  v: Json;
  r?: number;
  by: string;
  at: number;
  l?: { id: string; s: number; u: number; d?: Json };
}

interface WireProperty {
  views?: Record<string, WireView>;
  rest?: WireView;
  r?: number;
  /** Absent in facts of before editions were counted. */
  n?: number;
  why: PropertyState["reason"];
  /** Absent: the position of this very fact. */
  c?: number;
  /** Where its past began and ended, and by which edition. */
  p?: readonly [born: number, ended: number, edition?: number];
  k: string;
  /** W3C trace context. */
  tp?: string;
  /** Reactions of agents that it came from. */
  h?: number;
  /** The crowd with which its next lease ends. */
  g?: string;
}

export function encodeProperty(state: PropertyState): string {
  const wire: WireProperty = { why: state.reason, k: state.keeper, n: state.edition };
  if (state.revision !== 0) wire.r = state.revision;
  if (state.born !== 0) wire.c = state.born;
  if (state.past) wire.p = [state.past.born, state.past.ended, state.past.edition];
  if (state.cause?.trace !== undefined) wire.tp = state.cause.trace;
  if (state.cause?.hops) wire.h = state.cause.hops;
  if (state.crowd !== undefined) wire.g = state.crowd;
  if (state.rest) wire.rest = viewToWire(state.rest);
  if (state.views.size > 0) {
    wire.views = Object.fromEntries([...state.views].map(([name, view]) => [`=${name}`, viewToWire(view)]));
  }
  return JSON.stringify(wire);
}

export function decodeProperty(body: string, position: number): PropertyState {
  const wire = JSON.parse(body) as WireProperty;
  const views = wire.views === undefined ? noViews : viewsFromWire(wire.views, position);
  const { r: revision = position, n: edition = 0, c: born = position, why: reason, k: keeper } = wire;
  const rest = wire.rest && viewFromWire(wire.rest, position);
  const past = wire.p && { born: wire.p[0], ended: wire.p[1], edition: wire.p[2] ?? 0 };
  const { tp: trace, h: hops } = wire;
  const cause = trace === undefined && hops === undefined ? undefined : { trace, hops };
  return { views, rest, revision, edition, reason, born, past, keeper, cause, crowd: wire.g };
}

function viewsFromWire(wire: Record<string, WireView>, position: number): Map<string, View> {
  const views = new Map<string, View>();
  // The leading "=" keeps a view that somebody named __proto__ an ordinary key.
  for (const name in wire) views.set(name.slice(1), viewFromWire(wire[name] as WireView, position));
  return views;
}

/** True when nothing is left that a reader could ever see. */
export function isTombstone(state: PropertyState): boolean {
  return state.views.size === 0 && state.rest === undefined;
}

/** The same for a body, without parsing those that are too long to be one. */
export function isTombstoneBody(body: string): boolean {
  return body.length <= tombstoneLengthMax && isTombstone(decodeProperty(body, 0));
}

function viewToWire(view: View): WireView {
  const wire: WireView = { v: view.value, by: view.by, at: view.updatedMs };
  if (view.revision !== 0) wire.r = view.revision;
  if (view.lease) {
    const { id, seconds, untilMs } = view.lease;
    wire.l = { id, s: seconds, u: untilMs };
    if (view.lease.default !== undefined) wire.l.d = view.lease.default;
  }
  return wire;
}

function viewFromWire({ v: value, r: revision, by, at: updatedMs, l }: WireView, position: number): View {
  const view = { value, revision: revision ?? position, by, updatedMs };
  if (l === undefined) return view;
  const { id, s: seconds, u: untilMs, d } = l;
  const lease: Lease = d === undefined ? { id, seconds, untilMs } : { id, seconds, untilMs, default: d };
  return { ...view, lease };
}
