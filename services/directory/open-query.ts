// Opening a query: what somebody looks for, read for the first time.
// In: what a user wrote. Out: a query that can be asked of any node, now or for as long as it stands. Never: an expression that takes long to read.
import { type Query, type QueryText, queryOf } from "./query.ts";
import { compileWhere } from "./where.ts";

/** @throws Refusal `bad-request`, `bad-filter` */
export function openQuery(text: QueryText): Query {
  return queryOf(text, compileWhere);
}
