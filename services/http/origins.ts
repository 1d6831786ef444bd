// Origins: whose pages may use the broker (RFC 6454, RFC 6455 §10.2, Fetch §3.2).
// In: the Origin and Host of a request, the operator's list. Out: yes or no, and the headers that say so. Never: a guess about who sent it; that is what tokens are for.
import cors from "@fastify/cors";
import type { FastifyInstance } from "fastify";
import { Refusal } from "../core/refusal.ts";

const methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
/** Besides those that any page may read. */
const exposedHeaders = [
  "allow",
  "etag",
  "location",
  "ratelimit",
  "ratelimit-policy",
  "retry-after",
  "tidings-request-id",
  "www-authenticate",
];
const maxAge = 600;

/** Pages of listed origins may ask and read answers. Tokens travel in a header, so that no cookies have to. */
export async function shareWith(app: FastifyInstance, listed: ReadonlySet<string>): Promise<void> {
  if (listed.size === 0) return;
  await app.register(cors, { origin: [...listed], methods, exposedHeaders, maxAge });
}

interface OriginHeaders {
  readonly origin?: string | undefined;
  readonly host?: string | undefined;
}

/** Programs send no Origin; the broker's own pages send its own. @throws Refusal `origin-refused` */
export function requireOrigin({ origin, host }: OriginHeaders, listed: ReadonlySet<string>): void {
  if (origin === undefined || listed.has(origin)) return;
  if (host !== undefined && URL.canParse(origin) && new URL(origin).host === host.toLowerCase()) return;
  throw new Refusal("origin-refused", "Pages of this origin may not open a stream here.");
}
