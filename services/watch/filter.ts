// Filters of subscriptions: a CEL expression over an event, compiled once and asked for each event.
// In: text that a user wrote; then events. Out: yes, no or too slow. Never: lets an expression hold this thread for longer
// than a moment, whatever it is and whatever was published; throws once it is compiled.

import type { Json } from "../core/json.ts";
import {
  adapt,
  type Compiled,
  compile,
  compileInTime,
  type Dialect,
  type FilterAnswer,
  instant,
} from "../expression/expression.ts";

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

export interface Filter {
  /** The expression as given. */
  readonly text: string;
  /** Whether it may look at `previous`: who asks then has to remember values. */
  readonly usesPrevious: boolean;
  /** What the first event would wait for: one that was stored is not compiled yet. */
  prepare(): void;
  /**
   * "no" also where the evaluation fails (a field is missing) or gives no boolean. "too-slow": it was stopped after
   * 10 ms; the same filter may well answer the next event.
   */
  test(scope: FilterScope): FilterAnswer;
}

const ofEvents: Dialect = {
  variables: ["node", "name", "value", "previous", "now"],
  mayBeBoolean: ["value", "previous"],
  hasProperties: false,
};

/** @throws Refusal `bad-filter` that says where and what to do. */
export function compileFilter(text: string): Filter {
  const compiled = compileInTime(text, ofEvents);
  return filterOf(text, compiled.found.names.has("previous"), () => compiled);
}

/**
 * One that was compiled in time when it was made: however busy the machine is now, it stays a filter. Most are of people
 * who come with thousands of them, or are asked for their text alone.
 */
export function storedFilter(text: string): Filter {
  let compiled: Compiled | undefined;
  return filterOf(text, text.includes("previous"), () => {
    compiled ??= compile(text, ofEvents);
    return compiled;
  });
}

function filterOf(text: string, usesPrevious: boolean, compiled: () => Compiled): Filter {
  return {
    text,
    usesPrevious,
    prepare: () => void compiled(),
    test({ node, name, value, previous, now }) {
      const [current, former] = [adapt(value), adapt(previous)];
      const scope = { node, name, value: current.cel, previous: former.cel, now: instant(now) };
      return compiled().test(scope, [current, former]);
    },
  };
}
