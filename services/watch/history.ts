// History: which cursors this log can still honour, and the text of new ones.
// In: the terms that brokers began, from the feed; cursors from clients. Out: where a reader goes on. Never: a cursor honoured across a gap.
//
// Each start of a broker begins a term, named in the log. A cursor carries the term that its position lies in, so that
// after a restored backup the positions that were given twice are told apart: the later ones lie in another term.
import { randomBytes } from "node:crypto";
import { makeAddress } from "../core/address.ts";
import { type Cursor, formatCursor, hourMs } from "../core/cursor.ts";
import { tombstoneSeconds } from "../core/fact.ts";
import { Refusal } from "../core/refusal.ts";
import type { Follower } from "../store/follower.ts";
import type { Fact, Log } from "../store/log.ts";
import { nameOf, subjectOf } from "../store/subjects.ts";

export interface History extends Disposable {
  /** Begins a term: before this broker answers anybody. */
  begin(): Promise<void>;
  /** The cursor of a position, as given now. */
  cursor(position: number): string;
  /** Where a reader goes on that left off at this cursor; without one, it knows nothing. @throws Refusal `bad-cursor` */
  start(after: Cursor | undefined): Promise<Start>;
}

/** Where a reader left off. */
export interface Start {
  /** The cursor that it holds, or that stands for knowing nothing. */
  readonly text: string;
  /** Everything up to here was told; undefined: nothing was, or not all of it can be made up for. */
  readonly position: number | undefined;
  /** It may have missed something for good. */
  readonly isLost: boolean;
  /** It was told what came up to the position of some things only: it is shown all that is there, and what ended since. */
  readonly isPartial?: boolean;
}

export interface HistoryDeps {
  readonly log: Log;
  readonly follower: Follower;
  readonly domain: string;
  readonly now: () => number;
}

interface Term {
  readonly id: string;
  readonly from: number;
}

/** The term of positions before any that the log remembers. */
const unnamed = "0";
/** A term that nobody can hold a cursor of any more needs no name. */
const termSeconds = 30 * 24 * 3600;
/** Tombstones are kept for so long; a cursor's hour is rounded, and clocks differ. */
const windowMs = tombstoneSeconds * 1000 - 2 * hourMs;
/** How far the clock of the broker that gave a cursor may be ahead. */
const aheadHours = 2;

export function openHistory({ log, follower, domain, now }: HistoryDeps): History {
  const { epoch } = log;
  const home = makeAddress("", domain);
  const terms: Term[] = [];
  let latest = { position: -1, hour: 0, text: "" };
  const listening = follower.listen({ take });

  function take(fact: Fact): void {
    if (!fact.subject.includes(".term.")) return;
    terms.push({ id: nameOf(fact.subject), from: fact.position });
    latest = { position: -1, hour: 0, text: "" };
  }

  function termAt(position: number): string {
    for (let index = terms.length - 1; index >= 0; index--) {
      const term = terms[index] as Term;
      if (term.from <= position) return term.id;
    }
    return unnamed;
  }

  /** What is told at one position comes in runs. */
  function cursor(position: number): string {
    const hour = Math.floor(now() / hourMs);
    if (position !== latest.position || hour !== latest.hour) {
      latest = { position, hour, text: formatCursor({ epoch, term: termAt(position), position, hour }) };
    }
    return latest.text;
  }

  /** @returns undefined when what came after the cursor is not all known any more */
  async function resume(cursor: Cursor): Promise<number | undefined> {
    const hour = Math.floor(now() / hourMs);
    if (cursor.hour > hour + aheadHours) throw new Refusal("bad-cursor", "The cursor is from the future.");
    if (cursor.epoch !== epoch || now() - cursor.hour * hourMs > windowMs) return undefined;
    // Another broker may have begun a term that the feed has not brought yet.
    if (cursor.position > follower.position) await follower.caughtUp();
    // A term that nobody remembers was never cut short: whatever cuts one short begins another.
    const term = termAt(cursor.position);
    if (term !== unnamed && term !== cursor.term) return undefined;
    if (cursor.position > follower.position && cursor.position > (await log.lastGiven())) {
      throw new Refusal("bad-cursor", "The cursor lies in the future of this log.");
    }
    return cursor.position;
  }

  return {
    async begin() {
      const id = BigInt(`0x${randomBytes(8).toString("hex")}`).toString(36);
      const subject = subjectOf(home, "term", id);
      await log.append([{ subject, body: "{}", expected: 0, keepSeconds: termSeconds }]);
    },
    cursor,
    async start(after) {
      if (after === undefined) return { text: cursor(0), position: undefined, isLost: false };
      const position = await resume(after);
      return { text: formatCursor(after), position, isLost: position === undefined };
    },
    [Symbol.dispose]: () => listening[Symbol.dispose](),
  };
}

/** Where a reader goes on with things of which some may have come to it only later, at a position. */
export function startOfSome(start: Start, changed: number): Start {
  return changed > (start.position ?? Number.POSITIVE_INFINITY) ? { ...start, isPartial: true } : start;
}
