// Writing: set, patch and remove the properties of nodes.
// In: a principal's wishes, parsed. Out: answers whose revisions are durable. Never: an answer before the log has it.

import type { Address, PropertyName } from "../core/address.ts";
import { actorOf, type Principal, requireScope } from "../core/principal.ts";
import {
  type Cause,
  type PropertyState,
  removeView,
  type SetWish,
  setView,
  visible,
} from "../core/property.ts";
import { Refusal } from "../core/refusal.ts";
import type { Soon } from "../core/soon.ts";
import { stateOf } from "../store/decoded.ts";
import { askedTwice, type Follower } from "../store/follower.ts";
import type { Heads } from "../store/heads.ts";
import { type Append, type Fact, onceApplied } from "../store/log.ts";
import { subjectOf } from "../store/subjects.ts";
import type { Access } from "./access.ts";
import { type ChangeAnswer, type PropertyShape, placeAnswer, propertyShape } from "./answer.ts";
import { isLiveNode, propertyAppend, tombstones } from "./appends.ts";
import type { Changes, Decision, Known } from "./change.ts";
import type { Leases } from "./leases.ts";
import type { NameCounts } from "./name-counts.ts";
import { onceAnswer, onceAppend, onceSubject } from "./once.ts";
import type { Types } from "./types.ts";
import { requireCondition, requireLease, requireSize, type Terms, type ValueWish } from "./wishes.ts";

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
}

export interface WriterDeps {
  readonly changes: Changes;
  readonly follower: Pick<Follower, "position" | "caughtUp">;
  readonly heads: Heads;
  readonly leases: Leases;
  readonly types: Types;
  readonly counts: NameCounts;
  readonly access: Access;
  readonly now: () => number;
  readonly keeper: string;
}

const viewsMax = 32;

/** A property that a change touches: its subject, and what becomes of its state. */
interface Touch {
  readonly name: PropertyName;
  readonly subject: string;
  /** The next state, or undefined when it stays as it is. */
  readonly next: (state: PropertyState | undefined, nowMs: number) => PropertyState | undefined;
}

interface RemoveHow {
  readonly view?: string | undefined;
  readonly cause?: Cause | undefined;
}

export function openWriter(deps: WriterDeps): Writer {
  const { changes, follower, heads, leases, types, counts, access, now, keeper } = deps;

  async function apply(
    who: Principal,
    node: Address,
    touches: readonly Touch[],
    terms: Terms,
    leaving?: readonly PropertyName[],
  ): Promise<ChangeAnswer> {
    const { condition, once } = terms;
    const nodeSubject = subjectOf(node, "node");
    const onceAt = once && onceSubject(who.address, once);
    const writes = touches.map((touch) => touch.subject);
    using room = await counts.roomAt(node, leaving);

    function decide(known: Known): Decision<{ answer: ChangeAnswer; replayed: boolean }> {
      const record = onceAt && known.get(onceAt);
      if (once && record) {
        const answer = placeAnswer(onceAnswer<ChangeAnswer>(record, once), record.position);
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
        const state = fact && stateOf(fact);
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
    if (first !== 0) await undoOnDeletedNode(nodeSubject, touches);
    return placeAnswer(outcome.answer, first);
  }

  /** The node may have been deleted while the write was on its way: then the write must not outlive it. */
  function undoOnDeletedNode(nodeSubject: string, touches: readonly Touch[]): Soon<void> {
    const node = heads.get(nodeSubject);
    if (node instanceof Promise || !isLiveNode(node))
      return onceApplied(undoUnlessLive(nodeSubject, touches));
  }

  async function undoUnlessLive(nodeSubject: string, touches: readonly Touch[]): Promise<void> {
    if (isLiveNode(await heads.get(nodeSubject))) return;
    await changes.change({
      writes: touches.map((touch) => touch.subject),
      prepare: settle,
      decide: (known) => ({ appends: tombstones(known, keeper), outcome: undefined }),
    });
    throw new Refusal("not-found", "There is no such node any more.");
  }

  function settle(fact: Fact, isFresh: boolean): Soon<Fact | undefined> {
    if (!fact.subject.includes(".property.")) return fact;
    return isFresh ? leases.settleSurely(fact) : leases.settle(fact);
  }

  function requireWrites(who: Principal, node: Address, names: readonly PropertyName[]): Soon<void> {
    return askedTwice(follower, () => {
      for (const name of names) access.requireWrite(who, node, name);
    });
  }

  async function setTouch(
    who: Principal,
    node: Address,
    name: PropertyName,
    wish: ValueWish,
    at: string,
    cause: Cause | undefined,
  ): Promise<Touch> {
    requireScope(who, "write", name);
    requireSize(wish.value, `${at}/value`);
    const lease = wish.lease && requireLease(wish.lease, `${at}/lease`);
    await types.check(node, name, wish.value, `${at}/value`);
    if (lease?.default !== undefined) {
      requireSize(lease.default, `${at}/lease/default`);
      await types.check(node, name, lease.default, `${at}/lease/default`);
    }
    const set: SetWish = {
      view: wish.view ?? "",
      value: wish.value,
      by: actorOf(who).text,
      cause,
      ...(lease && { lease }),
    };
    return {
      name,
      subject: subjectOf(node, "property", name),
      next: (state, nowMs) => {
        const next = setView(state, set, nowMs, keeper);
        if (next.views.size > viewsMax)
          throw new Refusal("too-many-views", `${name} has ${viewsMax} views already.`);
        return next;
      },
    };
  }

  function removeTouch(
    who: Principal,
    node: Address,
    name: PropertyName,
    { view, cause }: RemoveHow = {},
  ): Touch {
    requireScope(who, "write", name);
    const subject = subjectOf(node, "property", name);
    return { name, subject, next: (state) => removeView(state, view, keeper, cause) };
  }

  return {
    async set(who, node, name, wish, terms = {}) {
      const allowed = requireWrites(who, node, [name]);
      if (allowed) await allowed;
      const touch = await setTouch(who, node, name, wish, "", terms.cause);
      const { changed, created } = await apply(who, node, [touch], terms);
      return { property: changed[0] as PropertyShape, created };
    },
    async patch(who, node, set, remove, terms = {}) {
      await requireWrites(who, node, [...set.keys(), ...remove]);
      const touches: Touch[] = [];
      for (const [name, wish] of set)
        touches.push(await setTouch(who, node, name, wish, `/set/${name}`, terms.cause));
      for (const name of remove) {
        if (set.has(name)) {
          throw new Refusal("bad-request", `${name} is both set and removed.`, [
            { pointer: "/remove", detail: "must not name what is set" },
          ]);
        }
        touches.push(removeTouch(who, node, name, { cause: terms.cause }));
      }
      return await apply(who, node, touches, terms, remove);
    },
    async remove(who, node, name, view, terms = {}) {
      await requireWrites(who, node, [name]);
      await apply(who, node, [removeTouch(who, node, name, { view, cause: terms.cause })], terms);
    },
  };
}
