// Card bodies: vCards where JSON usually is, asked for by Accept and sent by Content-Type.
// In: header fields, bytes of text/vcard. Out: what the caller wants, contacts as a JSON body would hold them. Never: cards on a route that did not ask for this.
import type { FastifyInstance } from "fastify";
import { Refusal } from "../core/refusal.ts";
import type { Quotas } from "./quotas.ts";
import { readCards, vcardType } from "./vcards.ts";

/** Cards take longer to read than JSON: so many bytes of them cost a request. */
const bytesARequest = 1_024;

/** RFC 9110 §12.5.1: JSON, unless cards are named and JSON is not wanted more. */
export function prefersCards(accept: string | undefined): boolean {
  let cards = 0;
  let json = 0;
  for (const range of accept?.toLowerCase().split(",") ?? []) {
    const [type, ...parameters] = range.split(";").map((part) => part.trim());
    const weight = Number(parameters.find((one) => one.startsWith("q="))?.slice(2) ?? 1) || 0;
    if (type === vcardType) cards = Math.max(cards, weight);
    if (type === "application/json") json = Math.max(json, weight);
  }
  return cards > json;
}

export function acceptCards(app: FastifyInstance, quotas: Quotas): void {
  const utf8 = new TextDecoder("utf-8", { fatal: true });
  app.addContentTypeParser<Buffer>(vcardType, { parseAs: "buffer" }, (request, body, done) => {
    try {
      quotas.take("requests", request, Math.ceil(body.length / bytesARequest));
      requireUtf8(request.headers["content-type"] ?? "");
      done(null, { contacts: readCards(decode(utf8, body)) });
    } catch (error) {
      done(error as Error);
    }
  });
  app.addContentTypeParser("*", (_request, _body, done) => {
    done(new Refusal("unsupported-media-type", `The body must be application/json or ${vcardType}.`));
  });
}

/** RFC 6350 §3.1: cards of version 4 are UTF-8 and nothing else. */
function requireUtf8(contentType: string): void {
  const charset = /;\s*charset\s*=\s*"?([^\s";]*)/i.exec(contentType)?.[1] ?? "utf-8";
  if (charset.toLowerCase() === "utf-8") return;
  throw new Refusal("unsupported-media-type", "vCards of version 4.0 are UTF-8.");
}

function decode(utf8: { decode(bytes: Buffer): string }, body: Buffer): string {
  try {
    return utf8.decode(body);
  } catch {
    // The decoder only says that it failed, which is all that the caller needs to know.
    throw new Refusal("bad-vcard", "The body is not UTF-8.");
  }
}
