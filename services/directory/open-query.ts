// Opening a query: what somebody looks for, read for the first time.
// In: what a user wrote. Out: a query that can be asked of any node, now or for as long as it stands. Never: an expression that takes long to read.
import type { QueryText } from "../core/query-target.ts";
import { type Query, queryOf } from "./query.ts";
import { compileWhere, knownWhere } from "./where.ts";

/** @throws Refusal `bad-request`, `bad-filter` */
export function openQuery(text: QueryText): Query {
  return queryOf(text, compileWhere);
}

/** One that was opened before: it is not timed again. */
export function knownQuery(text: QueryText): Query {
  return queryOf(text, knownWhere);
}
