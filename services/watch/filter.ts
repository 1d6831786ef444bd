// Filters of subscriptions: a CEL expression over an event, compiled once and asked for each event.
// In: text that a user wrote; then events. Out: yes, no or too slow. Never: lets an expression hold this thread for longer
// than a moment, whatever it is and whatever was published; throws once it is compiled.

import { type CelValue, celList, celMap, parse, plan } from "@bufbuild/cel";
import type { Json } from "../core/json.ts";
import { Refusal } from "../core/refusal.ts";
import { forgetPatterns, instant, language } from "./filter-language.ts";
import { type Survey, survey, UnfitExpression } from "./filter-survey.ts";
import { runLimited } from "./time-limit.ts";

/** What an event is to a filter. Values must not be changed afterwards: what they become for CEL is kept for a while. */
export interface FilterScope {
  readonly node: string;
  readonly name: string;
  /** Null when it was removed. */
  readonly value: Json;
  /** Null when there was none. */
  readonly previous: Json;
  /** Milliseconds since 1970. */
  readonly now: number;
}

export type FilterAnswer = "yes" | "no" | "too-slow";

export interface Filter {
  /** The expression as given. */
  readonly text: string;
  /** Whether it looks at `previous`: who asks then has to remember values. */
  readonly usesPrevious: boolean;
  /**
   * "no" also where the evaluation fails (a field is missing) or gives no boolean. "too-slow": it was stopped after
   * 10 ms; the same filter may well answer the next event.
   */
  test(scope: FilterScope): FilterAnswer;
}

const TEXT_MAX = 2048;
const TIME_LIMIT_MS = 10;
const COMPILE_LIMIT_MS = 100;
/** Up to here nobody watches, since that costs more than most filters. A step takes up to 0.3 µs. */
const STEPS_UNWATCHED = 40_000;

/** @throws Refusal `bad-filter` that says where and what to do. */
export function compileFilter(text: string): Filter {
  if (text.length > TEXT_MAX) {
    throw new Refusal("bad-filter", `A filter has at most 2,048 characters; this one has ${text.length}.`);
  }
  let compiled: ReturnType<typeof compile> | undefined;
  const outcome = runLimited(() => {
    compiled = compile(text);
  }, COMPILE_LIMIT_MS);
  if (outcome === "stopped" || compiled === undefined) {
    forgetPatterns();
    throw new Refusal("bad-filter", "The filter takes too long to read; make it simpler.");
  }
  return filterOf(text, compiled);
}

/** One that was compiled in time when it was made: however busy the machine is now, it stays a filter. */
export function storedFilter(text: string): Filter {
  return filterOf(text, compile(text));
}

function filterOf(text: string, { found, evaluate }: ReturnType<typeof compile>): Filter {
  return {
    text,
    usesPrevious: found.usesPrevious,
    test({ node, name, value, previous, now }) {
      const [current, former] = [adapt(value), adapt(previous)];
      const scope = { node, name, value: current.cel, previous: former.cel, now: instant(now) };
      let passes = false;
      const job = () => {
        passes = evaluate(scope) === true;
      };
      // Failing is an answer here, so nobody reads where it happened, and drawing up a stack takes longest of all.
      const { stackTraceLimit } = Error;
      Error.stackTraceLimit = 0;
      try {
        if (!found.readsUnknownPattern && steps(found, current, former) <= STEPS_UNWATCHED) job();
        else if (runLimited(job, TIME_LIMIT_MS) === "stopped") {
          forgetPatterns();
          return "too-slow";
        }
      } finally {
        Error.stackTraceLimit = stackTraceLimit;
      }
      return passes ? "yes" : "no";
    },
  };
}

function compile(text: string) {
  let parsed: ReturnType<typeof parse> | undefined;
  try {
    // The end of the line is the end of a comment.
    parsed = parse(`${text}\n`);
    const found = survey(parsed.expr);
    return { found, evaluate: plan(language, parsed) };
  } catch (error) {
    if (error instanceof RangeError)
      throw new Refusal("bad-filter", "The filter nests too deep; make it simpler.");
    if (error instanceof UnfitExpression) {
      throw refusal(text, parsed?.sourceInfo?.positions[String(error.id)], error.message);
    }
    throw refusal(text, offsetOf(error), reasonOf(error));
  }
}

function refusal(text: string, offset: number | undefined, reason: string): Refusal {
  if (offset === undefined) return new Refusal("bad-filter", reason);
  const where = offset < text.length ? `At character ${offset + 1}` : "At its end";
  return new Refusal("bad-filter", `${where}: ${reason}`);
}

/** The parser's own error has a location, which its types do not tell. */
function offsetOf(error: unknown): number | undefined {
  const { location } = error as { location?: { start?: { offset?: number } } };
  return location?.start?.offset;
}

function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message.replace(/^<input>:\d+:\d+: /, "") : String(error);
  return `${message.length > 200 ? `${message.slice(0, 199)}…` : message}.`;
}

/** What a value is for CEL, and how much of it there is. */
interface Adapted {
  readonly cel: CelValue;
  readonly parts: number;
  readonly characters: number;
}

/** One event is put to many filters, one after the other; no more are kept, since a map takes more than its JSON. */
const recent = new Map<object, Adapted>();
const RECENT_MAX = 8;

function adapt(value: Json): Adapted {
  const kept = typeof value === "object" && value !== null ? recent.get(value) : undefined;
  if (kept !== undefined) return kept;
  let parts = 0;
  let characters = 0;
  const cel = convert(value);
  const fresh = { cel, parts, characters };
  if (typeof value === "object" && value !== null) {
    for (const oldest of recent.keys()) {
      if (recent.size < RECENT_MAX) break;
      recent.delete(oldest);
    }
    recent.set(value, fresh);
  }
  return fresh;

  function convert(json: Json): CelValue {
    parts++;
    if (typeof json === "string") characters += json.length;
    if (typeof json !== "object" || json === null) return json;
    if (Array.isArray(json)) return celList(json.map(convert));
    const members = new Map<string, CelValue>();
    for (const [key, member] of Object.entries(json)) {
      characters += key.length;
      members.set(key, convert(member));
    }
    return celMap(members);
  }
}

/** More than the evaluation takes: each loop goes over all there is, and each search, a lighter step, looks at all again. */
function steps(
  { weight, searches, loops, sums, readsText }: Survey,
  current: Adapted,
  former: Adapted,
): number {
  const characters = current.characters + former.characters;
  const size = weight + current.parts + former.parts + (readsText ? characters : characters / 16);
  const turns = loops === 0 ? 1 : (size * 2 ** sums) ** loops;
  return weight * turns + (searches * turns * size) / 4;
}
