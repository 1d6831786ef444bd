// Once: the record of an Idempotency-Key, appended together with the change that it names, so that a retry has one effect.
// In: a key and a request. Out: the answer that was given the first time. Never: a second effect, across brokers and restarts.
import { createHash } from "node:crypto";
import { type Address, rootOf } from "../core/address.ts";
import { Refusal } from "../core/refusal.ts";
import type { Append, Fact } from "../store/log.ts";
import { subjectOf } from "../store/subjects.ts";

/** A retry that comes later than this is a new request. */
const keepSeconds = 24 * 3600;

export interface OnceKey {
  /** The Idempotency-Key as the client sent it. */
  readonly key: string;
  /** What makes a request the same request: method, path and body. */
  readonly request: string;
}

interface OnceRecord<T> {
  readonly request: string;
  /** Revisions count from this record's own position. */
  readonly answer: T;
}

export function onceSubject(account: Address, once: OnceKey): string {
  return subjectOf(rootOf(account), "once", hash(once.key));
}

export function onceAppend<T>(subject: string, once: OnceKey, answer: T): Append {
  const record: OnceRecord<T> = { request: hash(once.request), answer };
  return { subject, body: JSON.stringify(record), expected: 0, keepSeconds };
}

/** The answer that was given before. @throws Refusal when the key was used for another request */
export function onceAnswer<T>(fact: Fact, once: OnceKey): T {
  const record = JSON.parse(fact.body) as OnceRecord<T>;
  if (record.request !== hash(once.request)) {
    throw new Refusal(
      "idempotency-mismatch",
      "This Idempotency-Key belongs to a request with another method, path or body.",
    );
  }
  return record.answer;
}

function hash(text: string): string {
  return createHash("sha256").update(text).digest("base64url");
}
