// Posting: one parcel to one endpoint, once.
// In: a letter, a hook, a signal. Out: what came of it. Never: a second try, a redirect followed, or more of the answer read than its head.
import { type Egress, NoAnswer } from "../egress/egress.ts";
import type { Subscription } from "../watch/watching.ts";
import type { Letter } from "./parcel.ts";
import { signed } from "./signature.ts";

export interface Outcome {
  readonly is: "delivered" | "failed" | "gone" | "given-up";
  readonly status?: number;
  /** Why there is no answer. */
  readonly error?: string;
  /** What the endpoint asks to be left alone for, in ms. */
  readonly retryAfterMs?: number | undefined;
}

export interface Post {
  readonly one: Subscription;
  readonly url: string;
  readonly letter: Letter;
  /** Where the endpoint's owner can begin again once it has this. */
  readonly cursor: string;
  readonly signal: AbortSignal;
}

export interface PostingDeps {
  readonly egress: Pick<Egress, "request">;
  /** Those that sign what goes to a subscription's endpoint. */
  readonly secretsOf: (one: Subscription) => Promise<readonly string[]>;
  readonly now: () => number;
  readonly answerMs: number;
}

/** An answer's body means nothing; a short one is read, so that the connection can be used again. */
const bytesMax = 4 * 1024;

export async function post({ one, url, letter, cursor, signal }: Post, deps: PostingDeps): Promise<Outcome> {
  const { egress, secretsOf, now, answerMs } = deps;
  const { id, contentType, body } = letter;
  const secrets = await secretsOf(one);
  // Nothing leaves without a signature.
  if (secrets.length === 0) return { is: "failed", error: "there is no secret to sign with" };
  const headers = {
    ...signed(id, now(), body, secrets),
    "content-type": contentType,
    "user-agent": "tidings",
    "tidings-subscription": one.id,
    "tidings-cursor": cursor,
  };
  try {
    const answer = await egress.request({
      url,
      method: "POST",
      headers,
      body,
      signal,
      timeoutMs: answerMs,
      bytesMax,
    });
    const { status } = answer;
    if (status >= 200 && status < 300) return { is: "delivered", status };
    if (status === 410) return { is: "gone", status };
    return { is: "failed", status, retryAfterMs: retryAfter(answer.headers["retry-after"], now()) };
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
    return { is: error.why === "aborted" ? "given-up" : "failed", error: error.message };
  }
}

/** RFC 9110 §10.2.3: seconds, or a date. */
function retryAfter(text: string | undefined, nowMs: number): number | undefined {
  if (text === undefined) return undefined;
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - nowMs;
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}
