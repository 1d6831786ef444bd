// Problems: every refusal as application/problem+json (RFC 9457).
// In: whatever was thrown. Out: one problem, with Retry-After where trying again helps. Never: a stack, a secret, or another shape.
import type { FastifyError, FastifyReply, FastifyRequest } from "fastify";
import { Moved } from "../core/moved.ts";
import { Refusal, type RefusalError } from "../core/refusal.ts";
import { type RefusalCode, refusals } from "../core/refusals.ts";
import { Conflict, LogUnavailable, OutcomeUnknown } from "../store/log.ts";

export interface ProblemBody {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: RefusalCode;
  readonly detail: string;
  readonly errors?: readonly RefusalError[];
  /** Where the node is found, where that is what the refusal says. */
  readonly to?: string;
}

const retryAfterSeconds: Partial<Record<RefusalCode, number>> = {
  unavailable: 1,
  "storage-full": 10,
  "inbox-full": 60,
  "rate-limited": 10,
};

export function problemOf(refusal: Refusal): ProblemBody {
  const { code, status, message, errors } = refusal;
  const body = { type: `/problems/${code}`, title: refusals[code].title, status, code, detail: message };
  if (refusal instanceof Moved) return { ...body, to: refusal.to };
  return errors === undefined ? body : { ...body, errors };
}

/** Retry-After (RFC 9110 §10.2.3), in seconds; undefined where trying again would not help. */
export function retryAfter({ code, waitSeconds }: Refusal): number | undefined {
  return waitSeconds ?? retryAfterSeconds[code];
}

export function sendProblem(reply: FastifyReply, refusal: Refusal): FastifyReply {
  const wait = retryAfter(refusal);
  if (wait !== undefined) reply.header("retry-after", String(wait));
  if (refusal.code === "unauthenticated") reply.header("www-authenticate", 'Bearer realm="tidings"');
  reply.header("content-type", "application/problem+json; charset=utf-8").header("cache-control", "no-store");
  return reply.code(refusal.status).send(JSON.stringify(problemOf(refusal)));
}

export function handleError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const refusal = refusalOf(error);
  if (refusal.code === "internal") request.log.error({ err: error, reqId: request.id }, "a request failed");
  if (error instanceof LogUnavailable || error instanceof OutcomeUnknown) warnOfStore(error, request);
  return sendProblem(reply, refusal);
}

/** What a store says that cannot serve is for the operator; the first of many is enough. */
const warnedMs = 1_000;
let warnedAtMs = Number.NEGATIVE_INFINITY;

function warnOfStore({ message }: Error, request: FastifyRequest): void {
  const nowMs = performance.now();
  if (nowMs - warnedAtMs < warnedMs) return;
  warnedAtMs = nowMs;
  request.log.warn({ reqId: request.id }, `the store could not serve a request: ${message}`);
}

/** What a caller is told of an error from any depth. */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof LogUnavailable) {
    return error.full
      ? new Refusal("storage-full", "The store has no room.")
      : new Refusal("unavailable", "The store cannot serve right now. Nothing was changed.");
  }
  if (error instanceof OutcomeUnknown) {
    return new Refusal(
      "unavailable",
      "The store did not answer in time: the change may or may not have happened.",
    );
  }
  if (error instanceof Conflict) {
    return new Refusal(
      "unavailable",
      "Somebody changed the same thing at the same time. Nothing was changed.",
    );
  }
  return fromFastify(error as FastifyError);
}

function fromFastify(error: FastifyError): Refusal {
  if (error.validation !== undefined) {
    return invalid(error.validationContext ?? "request", error.validation as unknown as Failure[]);
  }
  switch (error.code) {
    case "FST_ERR_CTP_BODY_TOO_LARGE":
      return new Refusal("body-too-large", "The body has more than 256 KiB.");
    case "FST_ERR_CTP_INVALID_MEDIA_TYPE":
      return new Refusal("unsupported-media-type", "The body must be application/json.");
    case "FST_ERR_CTP_EMPTY_JSON_BODY":
    case "FST_ERR_CTP_INVALID_CONTENT_LENGTH":
      return new Refusal("bad-json", "The body is not as long as Content-Length says, or empty.");
    case "FST_ERR_BAD_URL":
    case "FST_ERR_MAX_PARAM_LENGTH":
      return new Refusal("bad-address", "The URL cannot be decoded.");
    default:
      if (error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500) {
        return new Refusal("bad-request", "The request cannot be understood.");
      }
      return new Refusal("internal", "Something went wrong here; it was logged.");
  }
}

/** What does not fit a shape, with a pointer to each place. */
export function invalid(where: string, failures: readonly Failure[]): Refusal {
  const errors = failures.map(({ instancePath, params, message, keyword }) => {
    const named = keyword === "additionalProperties" ? params?.additionalProperty : undefined;
    const pointer = named === undefined ? instancePath : `${instancePath}/${escapePointer(String(named))}`;
    return { pointer, detail: named === undefined ? (message ?? "does not fit") : "is not known here" };
  });
  const [first] = errors;
  const detail = first
    ? `The ${where} does not fit: ${`${first.pointer} ${first.detail}`.trim()}.`
    : `The ${where} does not fit.`;
  return new Refusal("bad-request", detail, errors);
}

interface Failure {
  readonly instancePath: string;
  readonly keyword: string;
  readonly params?: Record<string, unknown>;
  readonly message?: string | undefined;
}

/** RFC 6901 §3. */
function escapePointer(token: string): string {
  return token.slice(0, 100).replaceAll("~", "~0").replaceAll("/", "~1");
}
