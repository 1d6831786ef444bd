// Properties: a named value with leased views over it, and every decision about them.
// In: the state so far, a wish, the time. Out: the next state, or what a reader sees. Never: I/O, or a clock of its own.
//
// One fact holds a whole property: all its views and its resting value. A revision of 0 means "the position that this
// very fact gets in the log"; `settleRevisions` puts the number in once it is known.
import type { Json } from "./json.ts";
import { leaseEnd } from "./lease-bounds.ts";

export interface Lease {
  readonly id: string;
  readonly seconds: number;
  readonly untilMs: number;
  /** What the property becomes when the lease ends; without it the property ends as well. */
  readonly default?: Json;
}

export interface View {
  readonly value: Json;
  readonly revision: number;
  /** The account that set it. */
  readonly by: string;
  readonly updatedMs: number;
  readonly lease?: Lease;
}

export type ChangeReason = "set" | "expired" | "deleted";

export interface PropertyState {
  /** By view name; the unnamed view is "". Never empty together with an absent `rest`, except in a tombstone. */
  readonly views: ReadonlyMap<string, View>;
  /** The default that an ended lease left: seen only while no view is. */
  readonly rest?: View | undefined;
  /** The position at which what readers see last changed. A renewal does not change it. */
  readonly revision: number;
  /** Which change of what readers see that was, counted over its lives: two that are not neighbours have others between. */
  readonly edition: number;
  readonly reason: ChangeReason;
  /** The position at which it came to be, also once it is no more: whoever left off before never saw it. */
  readonly born: number;
  /** It had been there before, and gone: whoever left off in between knew it. */
  readonly past?: Past | undefined;
  /** What the last change came from, where that is known. */
  readonly cause?: Cause | undefined;
  /** The broker that granted the newest lease: it sweeps first, so that brokers do not sweep against each other. */
  readonly keeper: string;
  /** The crowd with which its next lease ends. Whatever else becomes of the property takes it out of there. */
  readonly crowd?: string | undefined;
}

/** Earlier lives of a property as far as the log remembers: where the first began and the last ended, and by which edition. */
export interface Past {
  readonly born: number;
  readonly ended: number;
  readonly edition: number;
}

/** What a change came from. */
export interface Cause {
  /** The W3C trace context of the request. */
  readonly trace?: string | undefined;
  /** How many agents reacted to each other until it came to this. */
  readonly hops?: number | undefined;
}

export interface SetWish {
  readonly view: string;
  readonly value: Json;
  readonly by: string;
  readonly lease?: { readonly id: string; readonly seconds: number; readonly default?: Json };
  readonly cause?: Cause | undefined;
}

/** One for all properties that have none: thousands of leases may end together. */
export const noViews: PropertyState["views"] = new Map();

/** What readers see: the newest view, else the resting value, else nothing. */
export function visible(state: PropertyState | undefined): View | undefined {
  if (state === undefined) return undefined;
  let newest: View | undefined;
  for (const view of state.views.values()) {
    // 0 is the fact being written: newer than whatever the log holds.
    if (
      newest === undefined ||
      view.revision === 0 ||
      (newest.revision !== 0 && view.revision > newest.revision)
    ) {
      newest = view;
    }
  }
  return newest ?? state.rest;
}

/** The earliest end of a lease in ms, or undefined when nothing is leased. */
export function deadline(state: PropertyState | undefined): number | undefined {
  let earliest: number | undefined;
  for (const view of state?.views.values() ?? []) {
    if (view.lease !== undefined && (earliest === undefined || view.lease.untilMs < earliest)) {
      earliest = view.lease.untilMs;
    }
  }
  return earliest;
}

export function setView(
  state: PropertyState | undefined,
  wish: SetWish,
  nowMs: number,
  keeper: string,
): PropertyState {
  const views = new Map(state?.views);
  const lease = wish.lease && { ...wish.lease, untilMs: leaseEnd(nowMs, wish.lease.seconds) };
  views.set(wish.view, {
    value: wish.value,
    revision: 0,
    by: wish.by,
    updatedMs: Math.floor(nowMs),
    ...(lease && { lease }),
  });
  const settled = wish.view === "" && lease === undefined;
  const rest = settled ? undefined : state?.rest;
  const isNew = state === undefined || visible(state) === undefined;
  const born = isNew ? 0 : state.born;
  const past = state && isNew ? pastOf(state) : state?.past;
  const edition = (state?.edition ?? 0) + 1;
  return { views, rest, revision: 0, edition, reason: "set", born, past, keeper, cause: wish.cause };
}

function pastOf({ born, past, revision, edition }: PropertyState): Past {
  return { born: past?.born ?? born, ended: revision, edition };
}

/** Takes one view away, or with `undefined` the whole property. Undefined when there was nothing to take. */
export function removeView(
  state: PropertyState | undefined,
  view: string | undefined,
  keeper: string,
  cause?: Cause,
): PropertyState | undefined {
  if (visible(state) === undefined || state === undefined) return undefined;
  if (view === undefined) return goneState(state, keeper, cause);
  if (!state.views.has(view)) return undefined;
  const views = new Map(state.views);
  views.delete(view);
  const next: PropertyState = { ...state, views, keeper, crowd: undefined };
  if (visible(next) === visible(state)) return next;
  const reason = visible(next) === undefined ? "deleted" : "set";
  return { ...next, cause, revision: 0, edition: state.edition + 1, reason };
}

/** The whole property taken away. */
export function goneState(
  { born, past, edition }: PropertyState,
  keeper: string,
  cause?: Cause,
): PropertyState {
  return {
    views: noViews,
    revision: 0,
    edition: edition + 1,
    reason: "deleted",
    born,
    past,
    keeper,
    cause,
  };
}

/** Ends every lease whose time has come; undefined when none has. */
export function endLeases(state: PropertyState, nowMs: number, keeper: string): PropertyState | undefined {
  return endViews(state, (lease) => lease.untilMs <= nowMs, nowMs, keeper);
}

/** Ends the views that `who` holds by this lease, before their time; undefined when there are none. */
export function endLeaseById(
  state: PropertyState,
  leaseId: string,
  who: string,
  nowMs: number,
  keeper: string,
): PropertyState | undefined {
  return endViews(state, (lease, view) => lease.id === leaseId && view.by === who, nowMs, keeper);
}

/** Extends the views that `who` holds by this lease; undefined when there are none. Readers see no change. */
export function renewLease(
  state: PropertyState,
  leaseId: string,
  who: string,
  seconds: number | undefined,
  nowMs: number,
  keeper: string,
): PropertyState | undefined {
  const views = new Map(state.views);
  let renewed = false;
  for (const [name, view] of state.views) {
    const lease = view.lease;
    if (lease?.id !== leaseId || view.by !== who) continue;
    const lasts = seconds ?? lease.seconds;
    views.set(name, {
      ...view,
      lease: { ...lease, seconds: lasts, untilMs: leaseEnd(nowMs, lasts) },
    });
    renewed = true;
  }
  return renewed ? { ...state, views, keeper, crowd: undefined } : undefined;
}

/** Replaces the zeros by the position that the fact got. */
export function settleRevisions(state: PropertyState, position: number): PropertyState {
  const { rest, edition, reason, past, keeper, cause, crowd } = state;
  const revision = state.revision === 0 ? position : state.revision;
  const views = settledViews(state.views, position);
  const born = state.born === 0 ? position : state.born;
  const settledRest = rest && settledView(rest, position);
  return { views, rest: settledRest, revision, edition, reason, born, past, keeper, cause, crowd };
}

function settledViews(views: PropertyState["views"], position: number): PropertyState["views"] {
  for (const view of views.values()) {
    if (view.revision !== 0) continue;
    const settled = new Map<string, View>();
    for (const [name, one] of views) settled.set(name, settledView(one, position));
    return settled;
  }
  return views;
}

function settledView(view: View, position: number): View {
  return view.revision === 0 ? { ...view, revision: position } : view;
}

function endViews(
  state: PropertyState,
  ends: (lease: Lease, view: View) => boolean,
  nowMs: number,
  keeper: string,
): PropertyState | undefined {
  const views = new Map(state.views);
  let rest = state.rest;
  // The default of the lease that ends last is the one that stays.
  let restUntilMs = Number.NEGATIVE_INFINITY;
  for (const [name, view] of state.views) {
    if (view.lease === undefined || !ends(view.lease, view)) continue;
    views.delete(name);
    if (view.lease.default !== undefined && view.lease.untilMs > restUntilMs) {
      rest = { value: view.lease.default, revision: 0, by: view.by, updatedMs: Math.floor(nowMs) };
      restUntilMs = view.lease.untilMs;
    }
  }
  if (views.size === state.views.size) return undefined;
  const next: PropertyState = {
    ...state,
    views: views.size === 0 ? noViews : views,
    rest,
    keeper,
    crowd: undefined,
  };
  // Another device's newer view hides the end of this one.
  if (visible(next) === visible(state)) return next;
  return { ...next, cause: undefined, revision: 0, edition: state.edition + 1, reason: "expired" };
}
