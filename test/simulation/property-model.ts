// A second opinion on properties: what each command makes of one, written anew and simply, for the tape to be held against.
// In: a state, a wish, and what the log says (for times only, within bounds). Out: the state that must follow. Never: code of services/core/property.ts.
import type { Lease, PropertyState, View } from "../../services/core/property.ts";
import type { ValueWish } from "../../services/property/properties.ts";

/** When and where a change happened, and what the log then held. */
export interface Moment {
  readonly position: number;
  readonly by: string;
  /** Decided not before, and applied not after. */
  readonly fromMs: number;
  readonly toMs: number;
  readonly actual: PropertyState | undefined;
}

function gone(born: number, revision: number, edition: number): PropertyState {
  return { views: new Map(), revision, edition, reason: "deleted", born, keeper: "" };
}

export function seen(state: PropertyState | undefined): View | undefined {
  const views = [...(state?.views.values() ?? [])].sort((a, b) => b.revision - a.revision);
  return views[0] ?? state?.rest;
}

export function afterSet(prev: PropertyState | undefined, wish: ValueWish, at: Moment): PropertyState {
  const name = wish.view ?? "";
  const found = at.actual?.views.get(name);
  const view: View = {
    value: wish.value,
    revision: at.position,
    by: at.by,
    updatedMs: within(found?.updatedMs, Math.floor(at.fromMs), Math.floor(at.toMs)),
    ...(wish.lease && {
      lease: granted(
        {
          id: wish.lease.id ?? found?.lease?.id ?? "",
          seconds: wish.lease.seconds,
          ...defaultOf(wish.lease),
        },
        found?.lease,
        at,
      ),
    }),
  };
  const views = new Map([...(prev?.views ?? []), [name, view]]);
  const keepsRest = name !== "" || wish.lease !== undefined;
  const born = prev === undefined || seen(prev) === undefined ? at.position : prev.born;
  // Once the log has forgotten its end, a property begins anew.
  const isForgotten = seen(prev) === undefined && at.actual?.past === undefined;
  const edition = isForgotten || prev === undefined ? 1 : prev.edition + 1;
  const rest = keepsRest ? prev?.rest : undefined;
  return { views, rest, revision: at.position, edition, reason: "set", born, keeper: "" };
}

/** Without a view: the whole property. Undefined when there was nothing to take. */
export function afterRemove(
  prev: PropertyState | undefined,
  view: string | undefined,
  at: Moment,
): PropertyState | undefined {
  if (prev === undefined || seen(prev) === undefined) return undefined;
  if (view === undefined) return gone(prev.born, at.position, prev.edition + 1);
  if (!prev.views.has(view)) return undefined;
  const views = new Map([...prev.views].filter(([name]) => name !== view));
  const next = { ...prev, views };
  if (seen(next) === seen(prev)) return next;
  const edition = prev.edition + 1;
  return { ...next, revision: at.position, edition, reason: seen(next) ? "set" : "deleted" };
}

/** Undefined when this account holds nothing by this lease. */
export function afterRenewal(
  prev: PropertyState,
  leaseId: string,
  seconds: number | undefined,
  at: Moment,
): PropertyState | undefined {
  if (!holds(prev, leaseId, at.by)) return undefined;
  const views = new Map<string, View>();
  for (const [name, view] of prev.views) {
    const renews = view.lease?.id === leaseId && view.by === at.by;
    if (!renews || view.lease === undefined) views.set(name, view);
    else {
      const wished = { ...view.lease, seconds: seconds ?? view.lease.seconds };
      views.set(name, { ...view, lease: granted(wished, at.actual?.views.get(name)?.lease, at) });
    }
  }
  return { ...prev, views };
}

/** The views are taken away whose lease `ends`; a default stays, that of the lease that ends last. */
export function afterEnds(
  prev: PropertyState,
  ends: (view: View, name: string) => boolean,
  at: Moment,
): PropertyState | undefined {
  const ended = [...prev.views]
    .filter(([name, view]) => view.lease && ends(view, name))
    .map(([, view]) => view);
  if (ended.length === 0) return undefined;
  const last = ended
    .filter(({ lease }) => lease?.default !== undefined)
    .sort((a, b) => (b.lease?.untilMs ?? 0) - (a.lease?.untilMs ?? 0))[0];
  const rest: View | undefined = last?.lease && {
    value: last.lease.default as View["value"],
    revision: at.position,
    by: last.by,
    updatedMs: within(at.actual?.rest?.updatedMs, Math.floor(at.fromMs), Math.floor(at.toMs)),
  };
  const views = new Map([...prev.views].filter(([, view]) => !ended.includes(view)));
  const next = { ...prev, views, rest: rest ?? prev.rest };
  if (seen(next) === seen(prev)) return next;
  return { ...next, revision: at.position, edition: prev.edition + 1, reason: "expired" };
}

export function holds(prev: PropertyState | undefined, leaseId: string, by: string): boolean {
  return [...(prev?.views.values() ?? [])].some((view) => view.lease?.id === leaseId && view.by === by);
}

/** One spelling of a state; the keeper is the services' own affair. */
export function spell(what: PropertyState | undefined): string {
  if (what === undefined) return "nothing";
  const { views, rest, revision, edition, reason, born } = what;
  return JSON.stringify(
    { views: [...views].sort(([a], [b]) => (a < b ? -1 : 1)), rest, revision, edition, reason, born },
    sorted,
  );
}

export function spellAll(states: ReadonlyMap<string, PropertyState>): string {
  return [...states]
    .map(([subject, state]) => `${subject}: ${spell(state)}`)
    .sort()
    .join("\n");
}

/** One spelling of any value, whatever the order of its keys. */
export function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a, sorted) === JSON.stringify(b, sorted);
}

function sorted(_: string, value: unknown): unknown {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Never shorter than was asked for, and at most a millisecond longer. */
function granted(wish: Omit<Lease, "untilMs">, found: Lease | undefined, at: Moment): Lease {
  const lasts = wish.seconds * 1000;
  return { ...wish, untilMs: within(found?.untilMs, at.fromMs + lasts, at.toMs + lasts + 1) };
}

function within(found: number | undefined, from: number, to: number): number {
  return found !== undefined && found >= from && found <= to ? found : from;
}

function defaultOf(lease: { readonly default?: View["value"] | undefined }): Pick<Lease, "default"> {
  return lease.default === undefined ? {} : { default: lease.default };
}

/** A renewal changes a view's lease without a new revision. */
export function shown(view: View | undefined): unknown {
  return view && { value: view.value, by: view.by, updatedMs: view.updatedMs };
}
