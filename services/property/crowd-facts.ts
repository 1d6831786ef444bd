// Crowds in the log: marks on properties, the one fact that ends all that carry a mark, and what it leaves of each.
// In: facts of properties, and facts that end crowds. Out: how a property stands after them. Never: an end of what was written over its mark.
import { randomBytes } from "node:crypto";
import { makeAddress } from "../core/address.ts";
import { encodeProperty, tombstoneSeconds } from "../core/fact.ts";
import { inParts } from "../core/parts.ts";
import { endLeases, type PropertyState, settleRevisions } from "../core/property.ts";
import { stateOf } from "../store/decoded.ts";
import type { Append, Basis, Fact } from "../store/log.ts";
import { nameOf, subjectOf } from "../store/subjects.ts";

/** So long notes are kept of who left a crowd: for brokers whose feed is late. */
const noteSeconds = 900;
/** A note fits into one message of the store, however long the subjects are. */
const notedAtOnce = 100;
/** Stands in every fact that carries a mark. */
const markKey = '"g":"';

/** A crowd's end, as the log holds it. */
export interface CrowdEnd {
  readonly crowd: string;
  readonly position: number;
  readonly timeMs: number;
  /** Leases until then have ended. */
  readonly endsMs: number;
}

export function newCrowd(): string {
  return randomId();
}

/** Ends every lease until then of whatever carries the mark, unless that has happened. */
export function crowdEndAppend(domain: string, crowd: string, endsMs: number): Append {
  return {
    subject: subjectOfCrowd(domain, crowd),
    body: JSON.stringify({ endsMs }),
    expected: 0,
    // As long as the end of a property: all brokers may be down before it is written out.
    keepSeconds: tombstoneSeconds,
  };
}

/** @returns undefined for any other fact */
export function crowdEndOf(fact: Fact): CrowdEnd | undefined {
  const { subject, position, timeMs } = fact;
  if (!subject.includes(".crowd.")) return undefined;
  const { endsMs } = JSON.parse(fact.body) as { readonly endsMs: number };
  return { crowd: nameOf(subject), position, timeMs, endsMs };
}

/** Whether it may carry a mark: most are told apart without being read. */
export function mayBeMarked(fact: Fact): boolean {
  return fact.basis === undefined && fact.body.includes(markKey);
}

/**
 * The same appends, and for each crowd that they leave a note of who left: refused once the crowd has ended.
 * The feed leaves out what was written over since, but no note: by it a slow follower knows who was there to the end.
 */
export function withLeavings(domain: string, appends: readonly Append[]): readonly Append[] {
  if (!appends.some(({ leaves }) => leaves !== undefined)) return appends;
  const { "": _, ...left } = Object.groupBy(appends, ({ leaves = "" }) => leaves);
  const notes = Object.entries(left).flatMap(([crowd, some = []]) =>
    inParts(some, notedAtOnce).map((part) => noteAppend(domain, crowd, part)),
  );
  return [...appends, ...notes];
}

function noteAppend(domain: string, crowd: string, left: readonly Append[]): Append {
  return {
    subject: subjectOf(makeAddress("", domain), "left", `${crowd} ${randomId()}`),
    body: JSON.stringify(left.map(({ subject }) => subject)),
    of: subjectOfCrowd(domain, crowd),
    expected: 0,
    keepSeconds: noteSeconds,
  };
}

/** Who left which crowd; undefined for any other fact. */
export function leavingOf(fact: Fact): { crowd: string; subjects: readonly string[] } | undefined {
  const { subject } = fact;
  if (!subject.includes(".left.")) return undefined;
  const [crowd = ""] = nameOf(subject).split(" ");
  // Only now: what a crowd's end means is put into words when its body is asked for.
  return { crowd, subjects: JSON.parse(fact.body) as string[] };
}

/** How a property that carries the mark stands once its crowd has ended. */
export function afterCrowd(fact: Fact, { position, timeMs, endsMs }: CrowdEnd): Fact {
  const before = stateOf(fact);
  const ended = endLeases(before, endsMs, before.keeper);
  if (ended === undefined) return fact;
  const state = settleRevisions(ended, position);
  const basis = fact.basis ?? { expected: fact.position };
  return new Ended(fact.subject, position, timeMs, state, basis);
}

/** Ten thousand come at once, and few ask for what their body would be. */
class Ended implements Fact {
  readonly subject: string;
  readonly position: number;
  readonly timeMs: number;
  readonly groupEnd = Number.POSITIVE_INFINITY;
  readonly basis: Basis;
  readonly decoded: { readonly value: PropertyState };
  #body: string | undefined;

  constructor(subject: string, position: number, timeMs: number, state: PropertyState, basis: Basis) {
    this.subject = subject;
    this.position = position;
    this.timeMs = timeMs;
    this.basis = basis;
    this.decoded = { value: state };
  }

  get body(): string {
    this.#body ??= encodeProperty(this.decoded.value);
    return this.#body;
  }
}

function randomId(): string {
  return randomBytes(9).toString("base64url");
}

function subjectOfCrowd(domain: string, crowd: string): string {
  return subjectOf(makeAddress("", domain), "crowd", crowd);
}
