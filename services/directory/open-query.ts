// Opening a query: what somebody looks for, read for the first time.
// In: what a user wrote. Out: a query that can be asked of any node, now or for as long as it stands. Never: an expression that takes long to read.
import type { QueryText } from "../core/query-target.ts";
import { remembered } from "../core/remembered.ts";
import { type Query, queryOf } from "./query.ts";
import { compileWhere, knownWhere } from "./where.ts";

/** Reading an expression takes longer than most searches by it; the next page asks by the same. */
const recentMax = 200;
const recentWhere = remembered(recentMax, compileWhere);

/** @throws Refusal `bad-request`, `bad-filter` */
export function openQuery(text: QueryText): Query {
  return queryOf(text, recentWhere);
}

/** One that was opened before: it is not timed again. */
export function knownQuery(text: QueryText): Query {
  return queryOf(text, knownWhere);
}
