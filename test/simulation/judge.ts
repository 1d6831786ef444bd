// The judge: holds each answer that a client got against the truth.
// In: an attempt and its answer or error. Out: violations of P2, P7 and P8. Never: a demand on what was still on its way.
import { parseAddress } from "../../services/core/address.ts";
import { timestamp } from "../../services/core/event.ts";
import type { View } from "../../services/core/property.ts";
import { Refusal } from "../../services/core/refusal.ts";
import type { ChangeAnswer, PropertyShape } from "../../services/property/answer.ts";
import type { NodeShape } from "../../services/property/properties.ts";
import type { Renewed } from "../../services/property/renewer.ts";
import { LogUnavailable, OutcomeUnknown } from "../../services/store/log.ts";
import { factsOfNode, placeOf, subjectOf } from "../../services/store/subjects.ts";
import { type Attempt, describeAttempt } from "./command.ts";
import { same, seen } from "./property-model.ts";
import type { Effect, Held, Truth } from "./truth.ts";

export interface Judge {
  answered(attempt: Attempt, answer: unknown): void;
  failed(attempt: Attempt, error: unknown): void;
}

export function openJudge(truth: Truth, violate: (message: string) => void): Judge {
  const answersOnce = new Map<string, unknown>();

  function answered(attempt: Attempt, answer: unknown): void {
    attempt.outcome = "done";
    const { command } = attempt;
    const { wish, node, key } = command;
    const own = truth.effectOf(attempt);
    const effect = own ?? (key === undefined ? undefined : truth.effectOnce(key));
    if (key !== undefined && effect !== undefined) {
      if (!answersOnce.has(key)) answersOnce.set(key, answer);
      else if (!same(answersOnce.get(key), answer)) complain("P7: a retry got another answer", answer);
    }
    function complain(what: string, shown: unknown): void {
      violate(`${what}: ${describeAttempt(attempt)}\n  answer ${JSON.stringify(shown)}`);
    }
    switch (wish.kind) {
      case "set": {
        const { property, created } = answer as { property: PropertyShape; created: boolean };
        const expected = effect && changesOf(effect)[0];
        if (!same(property, expected)) {
          complain(`P2: an ack for ${JSON.stringify(expected)}`, answer);
          return;
        }
        const subject = subjectOf(node, "property", wish.name);
        if (effect && created !== (seen(effect.before.get(subject)) === undefined))
          complain("an ack is wrong about `created`", answer);
        return;
      }
      case "patch": {
        const { changed, removed } = answer as ChangeAnswer;
        if (effect === undefined) {
          complain("an ack without an effect", answer);
          return;
        }
        const gone = [...effect.after].filter(([, state]) => seen(state) === undefined);
        if (!same(changed, changesOf(effect))) complain("P2: an ack for something else", answer);
        if (!same([...removed].sort(), gone.map(([subject]) => placeOf(subject).name).sort()))
          complain("P2: an ack of other removals", answer);
        return;
      }
      case "remove": {
        if (effect !== undefined) return;
        const missing = ({ state }: Held): boolean =>
          seen(state) === undefined || (wish.view !== undefined && state?.views.has(wish.view) !== true);
        if (!during(attempt, subjectOf(node, "property", wish.name)).some(missing))
          complain("an ack of a removal that removed nothing", answer);
        return;
      }
      case "renew": {
        const { until, properties } = answer as Renewed;
        if (effect === undefined) {
          complain("P8: an ack of a renewal that is not in the log", answer);
          return;
        }
        const ends = [...effect.after.values()].flatMap((state) =>
          [...state.views.values()].filter(
            ({ by, lease }) => lease?.id === wish.leaseId && by === command.who.address.text,
          ),
        );
        if (until !== timestamp(Math.min(...ends.map(({ lease }) => lease?.untilMs ?? 0))))
          complain("P8: a renewal was granted another time", answer);
        if (properties.length !== effect.after.size) complain("P8: a renewal of other properties", answer);
        return;
      }
      case "endLease":
        if (stillHeld(attempt, wish.leaseId)) complain("an ended lease is still there", answer);
        return;
      case "get":
        requireSeen(attempt, subjectOf(node, "property", wish.name), answer as PropertyShape);
        return;
      case "getNode":
        requireSnapshot(attempt, answer as NodeShape);
        return;
    }
  }

  function failed(attempt: Attempt, error: unknown): void {
    if (error instanceof OutcomeUnknown) {
      attempt.outcome = "unknown";
      return;
    }
    attempt.outcome = "nothing";
    const { wish, node, who } = attempt.command;
    const complain = (what: string): void => violate(`${what} (${error}): ${describeAttempt(attempt)}`);
    if (truth.effectOf(attempt)) complain("an attempt that was told of no effect has one");
    if (error instanceof LogUnavailable) return;
    if (!(error instanceof Refusal)) {
      complain(`an error that no client should see: ${(error as Error).stack}`);
      return;
    }
    switch (error.code) {
      case "unavailable":
        return;
      case "revision-mismatch": {
        if (!("revision" in wish)) break;
        const fails = ({ state }: Held): boolean => {
          const present = seen(state) ? (state?.revision ?? 0) : 0;
          return wish.revision === "any" ? present === 0 : present !== wish.revision;
        };
        if (during(attempt, subjectOf(node, "property", wish.name)).some(fails)) return;
        break;
      }
      case "lease-ended":
        if (wish.kind === "renew" && !stillHeld(attempt, wish.leaseId)) return;
        break;
      case "not-found":
        if (wish.kind !== "get") break;
        if (during(attempt, subjectOf(node, "property", wish.name)).some(({ state }) => !seen(state))) return;
        break;
      default:
    }
    complain(`P2: a refusal of ${who.address.text} that no state since its start explains`);
  }

  /** What held at some time between the attempt's start and now. */
  function during(attempt: Attempt, subject: string): readonly Held[] {
    return truth.since(subject, attempt.start);
  }

  /** Whether a property holds the lease that also did when the attempt began. */
  function stillHeld({ command, start }: Attempt, leaseId: string): boolean {
    return truth.heldSince(leaseId, command.who.address.text, start).length > 0;
  }

  function requireSeen(attempt: Attempt, subject: string, answer: PropertyShape): void {
    const { address, name } = placeOf(subject);
    const shapes = during(attempt, subject).map(({ state }) => shapeOf(address.text, name, state));
    if (!shapes.some((shape) => same(shape, answer)))
      violate(
        `P2: a read of something stale or never there: ${describeAttempt(attempt)}\n  ${JSON.stringify(answer)}`,
      );
    requireLive(attempt, answer);
  }

  /** P8: what was over before the read began is not shown. */
  function requireLive(attempt: Attempt, { lease }: PropertyShape): void {
    if (lease && Date.parse(lease.until) <= attempt.startMs)
      violate(`P8: a read after ${lease.until} shows the leased value: ${describeAttempt(attempt)}`);
  }

  /** P6: all properties as they stood at one time, so that no change of several is seen by half. */
  function requireSnapshot(attempt: Attempt, answer: NodeShape): void {
    const shown = new Map<string, PropertyShape>();
    const nodes = new Set<string>();
    const collect = (shape: NodeShape): void => {
      nodes.add(factsOfNode(parseAddress(shape.address), "property").slice(0, -1));
      for (const property of Object.values(shape.properties)) {
        shown.set(subjectOf(parseAddress(property.node), "property", property.name), property);
        requireLive(attempt, property);
      }
      for (const child of shape.children ?? []) collect(child);
    };
    collect(answer);
    const subjects = [...truth.states.keys()].filter((subject) =>
      nodes.has(subject.slice(0, subject.lastIndexOf(".") + 1)),
    );
    const histories = subjects.map((subject) => [subject, during(attempt, subject)] as const);
    const times = new Set([
      attempt.start,
      ...histories.flatMap(([, held]) => held.map(({ position }) => position)),
    ]);
    const fits = (time: number): boolean =>
      histories.every(([subject, held]) => {
        const { address, name } = placeOf(subject);
        const state = held.findLast(({ position }) => position <= time)?.state;
        return same(shapeOf(address.text, name, state), shown.get(subject));
      });
    if (![...times].some((time) => time >= attempt.start && fits(time)))
      violate(
        `P6: a snapshot that held at no time: ${describeAttempt(attempt)}\n  ${JSON.stringify(answer)}`,
      );
  }

  return { answered, failed };
}

/** What a writer is told of its effect: each property that it set, in order. */
function changesOf(effect: Effect): readonly PropertyShape[] {
  return [...effect.after].flatMap(([subject, state]) => {
    const { address, name } = placeOf(subject);
    const shape = shapeOf(address.text, name, state);
    return shape ? [shape] : [];
  });
}

function shapeOf(node: string, name: string, state: Held["state"]): PropertyShape | undefined {
  const view: View | undefined = seen(state);
  if (view === undefined || state === undefined) return undefined;
  const { value, by, updatedMs, lease } = view;
  const shape = { node, name, value, revision: state.revision, updated: timestamp(updatedMs), by };
  if (lease === undefined) return shape;
  const { id, seconds, untilMs, default: rest } = lease;
  return {
    ...shape,
    lease: { id, seconds, until: timestamp(untilMs), ...(rest !== undefined && { default: rest }) },
  };
}
