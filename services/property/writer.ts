// Writing: set, patch, remove and renew the properties of nodes.
// In: a principal's wishes, parsed. Out: answers whose revisions are durable. Never: an answer before the log has it.
import { randomBytes } from "node:crypto";
import { type Address, type PropertyName, rootOf } from "../core/address.ts";
import { timestamp } from "../core/event.ts";
import { decodeProperty, encodeProperty, isTombstone, tombstoneSeconds } from "../core/fact.ts";
import type { Json } from "../core/json.ts";
import { type Principal, requireScope } from "../core/principal.ts";
import {
  endLeaseById,
  type PropertyState,
  removeView,
  renewLease,
  type SetWish,
  setView,
  visible,
} from "../core/property.ts";
import { Refusal } from "../core/refusal.ts";
import type { Follower } from "../store/follower.ts";
import type { Heads } from "../store/heads.ts";
import type { Append, Fact } from "../store/log.ts";
import { placeOf, subjectOf } from "../store/subjects.ts";
import { type ChangeAnswer, type PropertyShape, placeAnswer, propertyShape } from "./answer.ts";
import type { Changes, Decision, Known } from "./change.ts";
import type { Leases } from "./leases.ts";
import type { NameCounts } from "./name-counts.ts";
import { isLiveNode, tombstones } from "./nodes.ts";
import { type OnceKey, onceAnswer, onceAppend, onceSubject } from "./once.ts";
import type { Types } from "./types.ts";

export interface LeaseWish {
  readonly seconds: number;
  readonly id?: string | undefined;
  readonly default?: Json | undefined;
}

export interface ValueWish {
  readonly value: Json;
  readonly lease?: LeaseWish | undefined;
  readonly view?: string | undefined;
}

/** What must hold of the property before it is changed. */
export interface Condition {
  /** The revision that it must have; 0: it must not be there; "any": it must be there. */
  readonly revision: number | "any";
}

export interface Terms {
  readonly condition?: Condition | undefined;
  readonly once?: OnceKey | undefined;
}

export interface Renewed {
  readonly id: string;
  /** The earliest end among the renewed properties. */
  readonly until: string;
  readonly properties: readonly { readonly node: string; readonly name: string }[];
}

export interface Writer {
  set(
    who: Principal,
    node: Address,
    name: PropertyName,
    wish: ValueWish,
    terms?: Terms,
  ): Promise<{ property: PropertyShape; created: boolean }>;
  /** All or nothing, in one order for every watcher. */
  patch(
    who: Principal,
    node: Address,
    set: ReadonlyMap<PropertyName, ValueWish>,
    remove: readonly PropertyName[],
    terms?: Terms,
  ): Promise<ChangeAnswer>;
  /** Takes the property away, or with `view` that view alone. */
  remove(who: Principal, node: Address, name: PropertyName, view?: string, terms?: Terms): Promise<void>;
  renew(who: Principal, leaseId: string, seconds?: number): Promise<Renewed>;
  endLease(who: Principal, leaseId: string): Promise<void>;
}

export interface WriterDeps {
  readonly changes: Changes;
  readonly heads: Heads;
  readonly leases: Leases;
  readonly types: Types;
  readonly counts: NameCounts;
  readonly follower: Follower;
  readonly now: () => number;
  readonly keeper: string;
}

export const valueBytesMax = 64 * 1024;
export const leaseSecondsMin = 1;
export const leaseSecondsMax = 30 * 24 * 3600;
const viewsMax = 32;
/** All views of a property, as the log holds them. */
const propertyBytesMax = 256 * 1024;

/** A property that a change touches: its subject, and what becomes of its state. */
interface Touch {
  readonly name: PropertyName;
  readonly subject: string;
  readonly sets: boolean;
  /** The next state, or undefined when it stays as it is. */
  readonly next: (state: PropertyState | undefined, nowMs: number) => PropertyState | undefined;
}

export function openWriter(deps: WriterDeps): Writer {
  const { changes, heads, leases, types, counts, follower, now, keeper } = deps;

  async function apply(
    who: Principal,
    node: Address,
    touches: readonly Touch[],
    terms: Terms,
  ): Promise<ChangeAnswer> {
    const { condition, once } = terms;
    const nodeSubject = subjectOf(node, "node");
    const onceAt = once && onceSubject(who.address, once);
    const writes = touches.map((touch) => touch.subject);
    using room = await counts.reserve(
      node,
      touches.filter((touch) => touch.sets).map((touch) => touch.name),
    );

    function decide(known: Known): Decision<{ answer: ChangeAnswer; replayed: boolean }> {
      const record = onceAt && known.get(onceAt);
      if (once && record) {
        const answer = placeAnswer(onceAnswer(record, once), record.position);
        return { appends: [], outcome: { answer, replayed: true } };
      }
      if (!isLiveNode(known.get(nodeSubject))) throw new Refusal("not-found", "There is no such node.");
      const nowMs = now();
      const appends: Append[] = [];
      const changed: PropertyShape[] = [];
      const removed: string[] = [];
      const offset = once ? 1 : 0;
      let created = false;
      for (const touch of touches) {
        const fact = known.get(touch.subject);
        const state = fact && decodeProperty(fact.body, fact.position);
        const before = visible(state);
        if (condition) requireCondition(condition, before ? state?.revision : undefined);
        const next = touch.next(state, nowMs);
        if (next === undefined) continue;
        if (before === undefined) {
          created = true;
          room.require(touch.name);
        }
        appends.push(propertyAppend(touch.subject, next, fact));
        const shape = propertyShape(node.text, touch.name, next);
        if (shape) changed.push({ ...shape, revision: offset + appends.length - 1 });
        else removed.push(touch.name);
      }
      const answer = { created, changed, removed };
      if (once && onceAt && appends.length > 0) appends.unshift(onceAppend(onceAt, once, answer));
      return { appends, outcome: { answer, replayed: false } };
    }

    const { outcome, first } = await changes.change({
      writes: onceAt ? [onceAt, ...writes] : writes,
      reads: [nodeSubject],
      decide,
      prepare: settle,
    });
    if (outcome.replayed) return outcome.answer;
    room.keep();
    await undoOnDeletedNode(nodeSubject, touches, first);
    return placeAnswer(outcome.answer, first);
  }

  /** The node may have been deleted while the write was on its way: then the write must not outlive it. */
  async function undoOnDeletedNode(
    nodeSubject: string,
    touches: readonly Touch[],
    first: number,
  ): Promise<void> {
    if (first === 0 || isLiveNode(await heads.get(nodeSubject))) return;
    await changes.change({
      writes: touches.map((touch) => touch.subject),
      decide: (known) => ({ appends: tombstones(known, keeper), outcome: undefined }),
    });
    throw new Refusal("not-found", "There is no such node any more.");
  }

  async function settle(fact: Fact): Promise<Fact | undefined> {
    return fact.subject.includes(".property.") ? await leases.settle(fact) : fact;
  }

  async function setTouch(
    who: Principal,
    node: Address,
    name: PropertyName,
    wish: ValueWish,
    at: string,
  ): Promise<Touch> {
    requireScope(who, "write", name);
    requireSize(wish.value, `${at}/value`);
    const lease = wish.lease && requireLease(wish.lease, `${at}/lease`);
    await types.check(node, name, wish.value);
    if (lease?.default !== undefined) {
      requireSize(lease.default, `${at}/lease/default`);
      await types.check(node, name, lease.default);
    }
    const set: SetWish = {
      view: wish.view ?? "",
      value: wish.value,
      by: who.address.text,
      ...(lease && { lease }),
    };
    return {
      name,
      subject: subjectOf(node, "property", name),
      sets: true,
      next: (state, nowMs) => {
        const next = setView(state, set, nowMs, keeper);
        if (next.views.size > viewsMax)
          throw new Refusal("too-many-views", `${name} has ${viewsMax} views already.`);
        return next;
      },
    };
  }

  function removeTouch(who: Principal, node: Address, name: PropertyName, view?: string): Touch {
    requireScope(who, "write", name);
    const subject = subjectOf(node, "property", name);
    return { name, subject, sets: false, next: (state) => removeView(state, view, keeper) };
  }

  /** Changes every property that the caller holds by this lease, together. */
  async function changeLeased(
    who: Principal,
    leaseId: string,
    next: (state: PropertyState, nowMs: number) => PropertyState | undefined,
  ): Promise<readonly { place: ReturnType<typeof placeOf>; state: PropertyState }[]> {
    // Another broker may have granted the lease a moment ago.
    await follower.caughtUp();
    const subjects = leases.holding(who.address.text, leaseId);
    if (subjects.length === 0) return [];
    for (const subject of subjects) requireScope(who, "write", placeOf(subject).name);
    const { outcome } = await changes.change({
      writes: [...subjects].sort(),
      prepare: settle,
      decide: (known) => {
        const nowMs = now();
        const appends: Append[] = [];
        const held: { place: ReturnType<typeof placeOf>; state: PropertyState }[] = [];
        for (const [subject, fact] of known) {
          const state = fact && decodeProperty(fact.body, fact.position);
          const changed = state && next(state, nowMs);
          if (changed === undefined) continue;
          appends.push(propertyAppend(subject, changed, fact));
          held.push({ place: placeOf(subject), state: changed });
        }
        return { appends, outcome: held };
      },
    });
    return outcome;
  }

  return {
    async set(who, node, name, wish, terms = {}) {
      requireOwner(who, node);
      const touch = await setTouch(who, node, name, wish, "");
      const { changed, created } = await apply(who, node, [touch], terms);
      return { property: changed[0] as PropertyShape, created };
    },
    async patch(who, node, set, remove, terms = {}) {
      requireOwner(who, node);
      const touches: Touch[] = [];
      for (const [name, wish] of set) touches.push(await setTouch(who, node, name, wish, `/set/${name}`));
      for (const name of remove) {
        if (set.has(name)) {
          throw new Refusal("bad-request", `${name} is both set and removed.`, [
            { pointer: "/remove", detail: "must not name what is set" },
          ]);
        }
        touches.push(removeTouch(who, node, name));
      }
      return await apply(who, node, touches, terms);
    },
    async remove(who, node, name, view, terms = {}) {
      requireOwner(who, node);
      await apply(who, node, [removeTouch(who, node, name, view)], terms);
    },
    async renew(who, leaseId, seconds) {
      if (seconds !== undefined) requireLease({ seconds }, "");
      const held = await changeLeased(who, leaseId, (state, nowMs) =>
        renewLease(state, leaseId, who.address.text, seconds, nowMs, keeper),
      );
      if (held.length === 0)
        throw new Refusal("lease-ended", "No property of yours holds this lease any more.");
      let untilMs = Number.POSITIVE_INFINITY;
      for (const { state } of held) {
        for (const view of state.views.values()) {
          if (view.lease?.id === leaseId && view.by === who.address.text)
            untilMs = Math.min(untilMs, view.lease.untilMs);
        }
      }
      const properties = held.map(({ place }) => ({ node: place.address.text, name: place.name }));
      return { id: leaseId, until: timestamp(untilMs), properties };
    },
    async endLease(who, leaseId) {
      await changeLeased(who, leaseId, (state, nowMs) =>
        endLeaseById(state, leaseId, who.address.text, nowMs, keeper),
      );
    },
  };
}

/** Until policies grant writing, a node is written by the account that it lies under; the answer is the same whether it exists or not. */
export function requireOwner(who: Principal, node: Address): void {
  if (rootOf(node).text === who.address.text) return;
  throw new Refusal("forbidden", "Only the owner of a node writes to it.");
}

function propertyAppend(subject: string, next: PropertyState, fact: Fact | undefined): Append {
  const body = encodeProperty(next);
  if (body.length > propertyBytesMax)
    throw new Refusal("too-many-views", "The views of this property take too much room together.");
  const append = { subject, body, expected: fact?.position ?? 0 };
  return isTombstone(next) ? { ...append, keepSeconds: tombstoneSeconds } : append;
}

function requireCondition({ revision }: Condition, present: number | undefined): void {
  if (revision === "any" ? present !== undefined : revision === (present ?? 0)) return;
  throw new Refusal(
    "revision-mismatch",
    present === undefined ? "The property is not there." : `The property is at revision ${present}.`,
  );
}

function requireSize(value: Json, pointer: string): void {
  const bytes = Buffer.byteLength(JSON.stringify(value));
  if (bytes <= valueBytesMax) return;
  throw new Refusal("value-too-large", `The value has ${bytes} bytes.`, [
    { pointer, detail: `must have at most ${valueBytesMax} bytes as JSON` },
  ]);
}

function requireLease(lease: LeaseWish, pointer: string): { id: string; seconds: number; default?: Json } {
  const { seconds } = lease;
  if (!(seconds >= leaseSecondsMin && seconds <= leaseSecondsMax)) {
    throw new Refusal("bad-lease", `A lease of ${seconds} seconds is not granted.`, [
      { pointer: `${pointer}/seconds`, detail: `must be from ${leaseSecondsMin} to ${leaseSecondsMax}` },
    ]);
  }
  const id = lease.id ?? randomBytes(12).toString("base64url");
  return lease.default === undefined ? { id, seconds } : { id, seconds, default: lease.default };
}
