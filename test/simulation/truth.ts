// The truth: the tape folded by the second opinion (property-model.ts); every group of facts must have its reason.
// In: groups, and the attempts that caused them. Out: violations of P2, P7 and P8; states at any time. Never: a guess; what nobody asked for is a violation.
import { decodeProperty } from "../../services/core/fact.ts";
import type { PropertyState, View } from "../../services/core/property.ts";
import type { Append, Fact } from "../../services/store/log.ts";
import { subjectOf } from "../../services/store/subjects.ts";
import { type Attempt, type Command, cause, describeAttempt } from "./command.ts";
import { CrowdModel } from "./crowd-model.ts";
import {
  afterEnds,
  afterRemove,
  afterRenewal,
  afterSet,
  holds,
  type Moment,
  same,
  seen,
  shown,
  spell,
  spellAll,
} from "./property-model.ts";
import type { Group, Tape } from "./tape.ts";
import { unexplained } from "./unexplained.ts";

/** A state, and the position from which on it held. */
export interface Held {
  readonly position: number;
  readonly state: PropertyState | undefined;
}

/** What an attempt made of the properties that it touched. */
export interface Effect {
  readonly attempt: Attempt;
  readonly group: Group;
  readonly before: ReadonlyMap<string, PropertyState | undefined>;
  readonly after: ReadonlyMap<string, PropertyState>;
}

export interface Truth {
  /** Enters what is appended to the account of whoever is running. */
  sign(facts: readonly Append[]): void;
  readonly states: ReadonlyMap<string, PropertyState>;
  /** What held at this position, and everything since. */
  since(subject: string, position: number): readonly Held[];
  /** Properties that this account has held by this lease, without any change, since this position. */
  heldSince(leaseId: string, by: string, position: number): readonly string[];
  /** What readers see at a revision of a property; undefined when there is no such revision. */
  revision(subject: string, revision: number): { readonly view: View | undefined } | undefined;
  /** How many revisions lie strictly between. */
  between(subject: string, from: number, to: number): number;
  effectOf(attempt: Attempt): Effect | undefined;
  /** The effect under an Idempotency-Key. */
  effectOnce(key: string): Effect | undefined;
  /** From now on each lease must be ended within `lateMsMax` of its deadline. */
  hurry(fromMs: number): void;
  readonly counts: {
    readonly effects: number;
    readonly ends: number;
    readonly crowded: number;
    /** Marks of crowds, and ends of crowds written out. */
    readonly silent: number;
    readonly latestMs: number;
  };
}

export const lateMsMax = 1_000;

export function openTruth(tape: Tape, violate: (message: string) => void): Truth {
  const states = new Map<string, PropertyState>();
  const histories = new Map<string, Held[]>();
  const revisions = new Map<string, Map<number, View | undefined>>();
  const effects = new Map<Attempt, Effect>();
  const once = new Map<string, Effect>();
  const causes = new WeakMap<Append, Attempt>();
  const crowds = new CrowdModel();
  let hurryFromMs = Number.POSITIVE_INFINITY;
  const counts = { effects: 0, ends: 0, crowded: 0, silent: 0, latestMs: 0 };

  tape.listen((group) => {
    const { unit, facts } = group;
    for (const fact of facts.filter(crowds.isEnd)) endCrowd(fact, group);
    const attempt = causes.get(unit.facts[0] as Append);
    const properties = facts.filter(({ subject }) => subject.includes(".property."));
    if (properties.length === 0) return;
    const actual = new Map(
      properties.map((fact) => [fact.subject, decodeProperty(fact.body, fact.position)]),
    );
    const expected = attempt && expectedOf(attempt, group, actual);
    const own = facts.filter(({ subject }) => !subject.includes(".left."));
    const [fact] = own.length === 1 ? properties : [];
    const next = fact && actual.get(fact.subject);
    const isSilent = fact && crowds.isSilent(fact.subject, states.get(fact.subject), next);
    if (isSilent) counts.silent++;
    else if (fact && isEnd(fact, next, group)) end(fact, next, group);
    else if (expected && spellAll(expected) === spellAll(actual)) enter(attempt, group, actual);
    else violate(unexplained(states, actual, expected, attempt, group));
    for (const [subject, state] of actual) {
      advance(subject, state, group.end);
      crowds.take(subject, state);
    }
  });

  function endCrowd(fact: Fact, group: Group): void {
    const { endsMs, ended } = crowds.end(fact, states);
    if (endsMs > group.timeMs) violate(`P8: a crowd ends ${endsMs - group.timeMs} ms early`);
    for (const [subject, next] of ended) {
      end({ ...fact, subject }, next, group);
      counts.crowded++;
      advance(subject, next, group.end);
    }
  }

  /** What the command makes of the properties as they stand now. */
  function expectedOf(
    attempt: Attempt,
    group: Group,
    actual: ReadonlyMap<string, PropertyState>,
  ): Map<string, PropertyState> {
    const { who, node, wish } = attempt.command;
    const by = who.address.text;
    const expected = new Map<string, PropertyState>();
    const positions = new Map(group.facts.map(({ subject, position }) => [subject, position]));
    const at = (subject: string): Moment => ({
      position: positions.get(subject) ?? 0,
      by,
      fromMs: attempt.startMs,
      toMs: group.timeMs,
      actual: actual.get(subject),
    });
    const expect = (subject: string, next: PropertyState | undefined): void => {
      if (next) expected.set(subject, next);
    };
    const property = (name: string): string => subjectOf(node, "property", name);
    switch (wish.kind) {
      case "set":
        expect(
          property(wish.name),
          afterSet(states.get(property(wish.name)), wish.wish, at(property(wish.name))),
        );
        break;
      case "patch":
        for (const [name, one] of wish.set)
          expect(property(name), afterSet(states.get(property(name)), one, at(property(name))));
        for (const name of wish.remove) {
          const subject = property(name);
          // What was not there for a moment, since the command began, may be left out.
          const missing = since(subject, attempt.start).some(({ state }) => seen(state) === undefined);
          if (!actual.has(subject) && missing) continue;
          expect(subject, afterRemove(states.get(subject), undefined, at(subject)));
        }
        break;
      case "remove":
        expect(
          property(wish.name),
          afterRemove(states.get(property(wish.name)), wish.view, at(property(wish.name))),
        );
        break;
      case "renew":
      case "endLease":
        for (const subject of new Set([...actual.keys(), ...heldSince(wish.leaseId, by, attempt.start)])) {
          const state = states.get(subject);
          if (state === undefined) continue;
          if (wish.kind === "renew")
            expect(subject, afterRenewal(state, wish.leaseId, wish.seconds, at(subject)));
          else
            expect(
              subject,
              afterEnds(state, (view) => view.lease?.id === wish.leaseId && view.by === by, at(subject)),
            );
        }
        break;
      case "get":
      case "getNode":
        break;
    }
    return expected;
  }

  /** P2, P7: the attempt may have this effect, and has had none before, nor has another under its key. */
  function enter(attempt: Attempt, group: Group, actual: ReadonlyMap<string, PropertyState>): void {
    const { command, outcome } = attempt;
    const before = new Map([...actual.keys()].map((subject) => [subject, states.get(subject)]));
    const effect = { attempt, group, before, after: actual };
    if (outcome === "nothing")
      violate(`an attempt that was told of no effect has one: ${describeAttempt(attempt)}`);
    if (outcome === "done") violate(`an effect came after its answer: ${describeAttempt(attempt)}`);
    if (effects.has(attempt)) violate(`P7: an attempt has a second effect: ${describeAttempt(attempt)}`);
    requireCondition(command, before, attempt);
    for (const [subject, state] of before) {
      const over = [...(state?.views.values() ?? [])].find(
        ({ lease }) => lease && lease.untilMs <= attempt.startMs,
      );
      if (over) violate(`P8: decided on a lease of ${subject} that was over: ${describeAttempt(attempt)}`);
    }
    const keyed = group.facts.some(({ subject }) => subject.includes(".once."));
    if (keyed !== (command.key !== undefined))
      violate(
        `P7: the record of the key is ${keyed ? "there unasked" : "missing"}: ${describeAttempt(attempt)}`,
      );
    if (command.key !== undefined) {
      if (once.has(command.key)) violate(`P7: a second effect under one key: ${describeAttempt(attempt)}`);
      once.set(command.key, effect);
    }
    effects.set(attempt, effect);
    counts.effects++;
  }

  function requireCondition(
    { wish }: Command,
    before: ReadonlyMap<string, PropertyState | undefined>,
    attempt: Attempt,
  ): void {
    if (!("revision" in wish) || wish.revision === undefined) return;
    for (const state of before.values()) {
      const present = seen(state) ? (state?.revision ?? 0) : 0;
      if (wish.revision === "any" ? present !== 0 : present === wish.revision) continue;
      violate(`P2: a conditional write won from revision ${present}: ${describeAttempt(attempt)}`);
    }
  }

  function since(subject: string, position: number): readonly Held[] {
    const history = histories.get(subject) ?? [];
    const at = history.findLastIndex((held) => held.position <= position);
    return [history[at] ?? { position: 0, state: undefined }, ...history.slice(at + 1)];
  }

  /** The properties that this account has held by this lease from that position on, without any change. */
  function heldSince(leaseId: string, by: string, position: number): readonly string[] {
    // A change since then may hide the lease from a broker: the feed leaves out what was replaced, and the
    // follower counts as caught up before it comes to the replacement.
    const unchanged = (subject: string): boolean => since(subject, position).length === 1;
    return [...states]
      .filter(([subject, state]) => holds(state, leaseId, by) && unchanged(subject))
      .map(([subject]) => subject);
  }

  /** The views whose lease ended between the state that stands and this one. */
  function endedViews(fact: Fact, next: PropertyState | undefined): [string, View][] {
    const views = [...(states.get(fact.subject)?.views ?? [])];
    return views.filter(([name, view]) => view.lease && !next?.views.has(name));
  }

  /** P8: leases whose time had come end, and nothing else changes. */
  function isEnd(fact: Fact, next: PropertyState | undefined, group: Group): boolean {
    const prev = states.get(fact.subject);
    const ended = endedViews(fact, next);
    const untilMs = Math.max(...ended.map(([, view]) => view.lease?.untilMs ?? 0));
    if (prev === undefined || ended.length === 0 || untilMs > group.timeMs) return false;
    const moment = { position: fact.position, by: "", fromMs: untilMs, toMs: group.timeMs, actual: next };
    return spell(afterEnds(prev, (_, name) => !next?.views.has(name), moment)) === spell(next);
  }

  function end(fact: Fact, next: PropertyState | undefined, group: Group): void {
    counts.ends++;
    for (const [name, view] of endedViews(fact, next)) {
      const deadlineMs = view.lease?.untilMs ?? 0;
      if (deadlineMs < hurryFromMs) continue;
      const lateMs = group.timeMs - deadlineMs;
      counts.latestMs = Math.max(counts.latestMs, lateMs);
      if (lateMs > lateMsMax) violate(`P8: the end of ${fact.subject} view "${name}" came ${lateMs} ms late`);
    }
  }

  function advance(subject: string, state: PropertyState, position: number): void {
    states.set(subject, state);
    const history = histories.get(subject) ?? [];
    histories.set(subject, history);
    const known = revisions.get(subject) ?? new Map<number, View | undefined>();
    revisions.set(subject, known);
    const newest = history.at(-1)?.state?.revision ?? 0;
    const view = seen(state);
    if (state.revision < newest)
      violate(`P2: the revision of ${subject} fell from ${newest} to ${state.revision}`);
    if (known.has(state.revision) && !same(shown(known.get(state.revision)), shown(view)))
      violate(`P2: revision ${state.revision} of ${subject} shows two values`);
    if (!known.has(state.revision)) known.set(state.revision, view);
    history.push({ position, state });
  }

  return {
    states,
    sign(facts) {
      const attempt = cause.getStore();
      if (attempt !== undefined) for (const fact of facts) causes.set(fact, attempt);
    },
    since,
    heldSince,
    revision(subject, revision) {
      const known = revisions.get(subject);
      return known?.has(revision) ? { view: known.get(revision) } : undefined;
    },
    between(subject, from, to) {
      const known = [...(revisions.get(subject)?.keys() ?? [])];
      return known.filter((revision) => revision > from && revision < to).length;
    },
    effectOf: (attempt) => effects.get(attempt),
    effectOnce: (key) => once.get(key),
    hurry: (fromMs) => void (hurryFromMs = fromMs),
    counts,
  };
}
