// Origins: whose pages may open sockets and streams here (RFC 6454, RFC 6455 §10.2).
// In: the Origin and Host of a request, the operator's list. Out: yes or no. Never: a guess about who sent it; that is what tokens are for.
import { Refusal } from "../core/refusal.ts";

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
