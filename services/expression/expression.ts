// Expressions: CEL that a user wrote, compiled once and asked of one thing after the other. The folder's public file.
// In: text, and which words it may use; then values. Out: yes, no or too slow. Never: lets an expression hold this thread for
// longer than a moment, whatever it is and whatever was published; throws once it is compiled.

import { type CelInput, type CelValue, celList, celMap, parse, plan } from "@bufbuild/cel";
import type { Json } from "../core/json.ts";
import { Refusal } from "../core/refusal.ts";
import { forgetPatterns, language } from "./language.ts";
import { type Dialect, type Expression, type Survey, survey, UnfitExpression } from "./survey.ts";
import { runLimited } from "./time-limit.ts";

export { instant } from "./language.ts";
export { type Dialect, type Expression, PROPERTIES } from "./survey.ts";

export type FilterAnswer = "yes" | "no" | "too-slow";

export interface Compiled {
  readonly found: Survey;
  readonly expression: Expression;
  /**
   * "no" also where the evaluation fails (a field is missing) or gives no boolean. "too-slow": it was stopped after
   * 10 ms; the same expression may well answer the next time.
   * @param scope what its words stand for
   * @param looked the values among them: how much work it is depends on their size
   */
  test(scope: Readonly<Record<string, CelInput>>, looked: readonly Adapted[]): FilterAnswer;
}

const TEXT_MAX = 2048;
const TIME_LIMIT_MS = 10;
const COMPILE_LIMIT_MS = 100;
/** Up to here nobody watches, since that costs more than most filters. A step takes up to 0.3 µs. */
const STEPS_UNWATCHED = 40_000;

/** @throws Refusal `bad-filter` that says where and what to do. */
export function compileInTime(text: string, dialect: Dialect): Compiled {
  if (text.length > TEXT_MAX) {
    throw new Refusal("bad-filter", `A filter has at most 2,048 characters; this one has ${text.length}.`);
  }
  let compiled: Compiled | undefined;
  const outcome = runLimited(() => {
    compiled = compile(text, dialect);
  }, COMPILE_LIMIT_MS);
  if (outcome === "stopped" || compiled === undefined) {
    forgetPatterns();
    throw new Refusal("bad-filter", "The filter takes too long to read; make it simpler.");
  }
  return compiled;
}

/** One that was compiled in time when it was made: however busy the machine is now, it stays a filter. */
export function compile(text: string, dialect: Dialect): Compiled {
  let parsed: ReturnType<typeof parse> | undefined;
  try {
    // The end of the line is the end of a comment.
    parsed = parse(`${text}\n`);
    const found = survey(parsed.expr, dialect);
    return compiledOf(parsed.expr, found, plan(language, parsed));
  } catch (error) {
    if (error instanceof RangeError)
      throw new Refusal("bad-filter", "The filter nests too deep; make it simpler.");
    if (error instanceof UnfitExpression) {
      throw refusal(text, parsed?.sourceInfo?.positions[String(error.id)], error.message);
    }
    throw refusal(text, offsetOf(error), reasonOf(error));
  }
}

function compiledOf(expression: Expression, found: Survey, evaluate: ReturnType<typeof plan>): Compiled {
  return {
    found,
    expression,
    test(scope, looked) {
      let passes = false;
      const job = () => {
        passes = evaluate(scope) === true;
      };
      // Failing is an answer here, so nobody reads where it happened, and drawing up a stack takes longest of all.
      const { stackTraceLimit } = Error;
      Error.stackTraceLimit = 0;
      try {
        if (!found.readsUnknownPattern && steps(found, looked) <= STEPS_UNWATCHED) job();
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
export interface Adapted {
  readonly cel: CelValue;
  readonly parts: number;
  readonly characters: number;
}

/** One event is put to many filters, one after the other; no more are kept, since a map takes more than its JSON. */
const recent = new Map<object, Adapted>();
const RECENT_MAX = 8;

/** The value must not be changed afterwards: what it becomes for CEL is kept for a while. */
export function adapt(value: Json): Adapted {
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
function steps({ weight, searches, loops, sums, readsText }: Survey, looked: readonly Adapted[]): number {
  let parts = 0;
  let characters = 0;
  for (const one of looked) {
    parts += one.parts;
    characters += one.characters;
  }
  const size = weight + parts + (readsText ? characters : characters / 16);
  const turns = loops === 0 ? 1 : (size * 2 ** sums) ** loops;
  return weight * turns + (searches * turns * size) / 4;
}
