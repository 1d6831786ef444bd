// Conditions: what a request's headers demand before it is carried out (RFC 9110 §13, the Idempotency-Key draft).
// In: header texts. Out: conditions and keys. Never: a condition that is ignored because it could not be read.
import type { FastifyRequest } from "fastify";
import { Refusal } from "../core/refusal.ts";
import type { Cause, Condition, OnceKey, Terms } from "../property/properties.ts";

const tracePattern = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;
/** How many agents reacted to each other before this request. */
const hopsPattern = /^\d{1,3}$/;
const entityTag = /^"([1-9]\d{0,14})"$/;

/** `If-Match: "17"` or `*`; `If-None-Match: *`; `Idempotency-Key`. */
export function termsOf(request: FastifyRequest): Terms {
  return { condition: conditionOf(request), once: onceOf(request), cause: causeOf(request) };
}

/** Where the request says that it comes from; what cannot be read says nothing, and is no reason to refuse. */
export function causeOf({ headers }: FastifyRequest): Cause | undefined {
  const { traceparent, "tidings-hops": given } = headers;
  // W3C Trace Context §3.2.
  const trace = typeof traceparent === "string" && tracePattern.test(traceparent) ? traceparent : undefined;
  const hops = typeof given === "string" && hopsPattern.test(given) ? Number(given) : undefined;
  return trace === undefined && hops === undefined ? undefined : { trace, hops };
}

function conditionOf({ headers }: FastifyRequest): Condition | undefined {
  const match = headers["if-match"];
  const noneMatch = headers["if-none-match"];
  if (match !== undefined && noneMatch !== undefined) {
    throw new Refusal("bad-precondition", "If-Match and If-None-Match contradict each other.");
  }
  if (noneMatch !== undefined) {
    if (noneMatch.trim() !== "*")
      throw new Refusal("bad-precondition", "A write takes If-None-Match: * only.");
    return { revision: 0 };
  }
  if (match === undefined) return undefined;
  if (match.trim() === "*") return { revision: "any" };
  const [, revision] = entityTag.exec(match.trim()) ?? [];
  if (revision === undefined)
    throw new Refusal("bad-precondition", 'If-Match takes one revision in quotes, such as "17", or *.');
  return { revision: Number(revision) };
}

export function onceOf(request: FastifyRequest): OnceKey | undefined {
  const key = request.headers["idempotency-key"];
  if (key === undefined) return undefined;
  if (typeof key !== "string" || !/^[\x21-\x7e]{1,255}$/.test(key)) {
    throw new Refusal("bad-precondition", "Idempotency-Key takes 1 to 255 visible ASCII characters.");
  }
  const { method, url, headers, body } = request;
  const conditions = `${headers["if-match"] ?? ""} ${headers["if-none-match"] ?? ""}`;
  return { key, request: `${method} ${url} ${conditions} ${JSON.stringify(body ?? null)}` };
}

export function refuseConditions({ headers }: FastifyRequest): void {
  if (headers["if-match"] === undefined && headers["if-none-match"] === undefined) return;
  throw new Refusal("bad-precondition", "Conditions hold for single properties; this request has several.");
}

/** RFC 9110 §13.1.2: weak comparison, a list, or `*`. What cannot be read matches nothing, and the answer is whole. */
export function matchesEntityTag(header: string | undefined, revision: number): boolean {
  if (header === undefined) return false;
  if (header.trim() === "*") return true;
  return header.split(",").some((tag) => tag.trim().replace(/^W\//, "") === `"${revision}"`);
}
