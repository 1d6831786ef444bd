// Wishes: what somebody wants to watch, as a request says it.
// In: fields of a request, their shapes already checked. Out: a wish, or a Refusal that says what is wrong. Never: a look at the log.
import { type Address, type Depth, emailOf, parseAddress } from "../core/address.ts";
import type { Json } from "../core/json.ts";
import { requireNamePatterns } from "../core/name-pattern.ts";
import { type Principal, requireScope } from "../core/principal.ts";
import { type QueryText, queryOfTarget, targetOfQuery } from "../core/query-target.ts";
import { Refusal } from "../core/refusal.ts";
import { compileFilter, type Filter } from "./filter.ts";

export interface WatchFields {
  readonly target: string;
  readonly properties?: readonly string[] | undefined;
  readonly depth?: Depth | undefined;
  readonly filter?: string | undefined;
}

/** An address, the e-mail address of somebody who may register one day, or whoever matches a query. */
export type Whom = { readonly address: Address } | { readonly email: string } | { readonly query: QueryText };

export interface WatchWish {
  /** As it is written into answers: the one spelling. */
  readonly target: string;
  readonly whom: Whom;
  /** Patterns; none selects all. */
  readonly properties: readonly string[];
  readonly depth: Depth;
  readonly filter: Filter | undefined;
  /** What the watcher discloses of its own to whoever asks for it. */
  readonly disclosed?: ReadonlyMap<string, Json> | undefined;
}

const mailto = "mailto:";

/** @param compile how a filter is read: in time, unless it was before */
export function parseWatchWish(
  { target, properties, depth = "0", filter }: WatchFields,
  compile: (text: string) => Filter = compileFilter,
): WatchWish {
  const names = properties === undefined ? [] : requireNamePatterns(properties);
  return {
    ...parseTarget(target),
    properties: names.includes("*") ? [] : names,
    depth,
    filter: filter === undefined ? undefined : compile(filter),
  };
}

function parseTarget(target: string): Pick<WatchWish, "target" | "whom"> {
  const query = queryOfTarget(target);
  if (query) return { target: targetOfQuery(query), whom: { query } };
  if (!target.startsWith(mailto)) {
    const address = parseAddress(target);
    return { target: address.text, whom: { address } };
  }
  const email = emailOf(target.slice(mailto.length));
  if (email === undefined) throw new Refusal("bad-address", "After mailto: stands one e-mail address.");
  return { target: `${mailto}${email}`, whom: { email } };
}

/** Whether the caller's token reaches these names. @throws Refusal `scope-missing` */
export function requireWatchScope(who: Principal, properties: readonly string[]): void {
  if (properties.length === 0) requireScope(who, "watch");
  for (const name of properties) requireScope(who, "watch", name);
}

/** One of the two: whom to watch, or what to look for. */
export interface TargetFields {
  readonly target?: string | undefined;
  readonly query?: QueryText | undefined;
}

/** @throws Refusal unless it is just one of the two */
export function targetOf({ target, query }: TargetFields): string {
  if ((target === undefined) === (query === undefined)) {
    throw new Refusal(
      "bad-request",
      "Say whom to watch in `target`, or what to look for in `query`: one of the two.",
      [{ pointer: "/target", detail: "goes without `query`" }],
    );
  }
  return query ? targetOfQuery(query) : (target as string);
}

/** A standing query shows what a search would: it takes the scopes of reading, and nothing that selects a second time. */
export function requireQuery(
  who: Principal,
  { properties, depth, filter }: Omit<WatchFields, "target">,
  query: QueryText,
  check: (query: QueryText) => void,
): void {
  requireScope(who, "read");
  for (const [name, value] of Object.entries({ properties, depth, filter })) {
    if (value === undefined) continue;
    throw new Refusal("bad-request", "A query says itself what it looks at.", [
      { pointer: `/${name}`, detail: "does not go with `query`" },
    ]);
  }
  check(query);
}
