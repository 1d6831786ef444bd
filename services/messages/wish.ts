// Wishes: what somebody wants to send, as a request says it.
// In: fields of a request, their shapes already checked. Out: a wish, or a Refusal that says what is wrong. Never: a look into the content.
import { parsePropertyName } from "../core/address.ts";
import { isMediaType } from "../core/media-type.ts";
import { Refusal } from "../core/refusal.ts";
import type { Content, Invitation } from "./message-facts.ts";

export interface MessageFields {
  readonly contentType: string;
  readonly content?: string | undefined;
  readonly contentBase64?: string | undefined;
  /** Seconds. */
  readonly expiresIn?: number | undefined;
  readonly invitation?: Invitation | undefined;
  readonly interest?: { readonly property: string } | undefined;
}

export interface MessageWish {
  readonly content: Content;
  /** Of the content, decoded. */
  readonly bytes: number;
  readonly keepMs: number;
  readonly interest: string | undefined;
}

const bytesMax = 64 * 1024;
export const keepSecondsMax = 7 * 24 * 3600;

export function parseMessageWish(fields: MessageFields): MessageWish {
  const { contentType, invitation, interest, expiresIn = keepSecondsMax } = fields;
  if (!isMediaType(contentType)) {
    throw misfit("/contentType", "must be a media type, such as text/plain or image/png (RFC 9110)");
  }
  if (!(expiresIn >= 1 && expiresIn <= keepSecondsMax)) {
    throw misfit("/expiresIn", `must be 1 to ${keepSecondsMax} seconds`);
  }
  const carried = contentOf(fields);
  const bytes = lengthOf(carried);
  if (bytes > bytesMax) {
    const [pointer] = Object.keys(carried);
    throw new Refusal("message-too-large", `The content has ${bytes} bytes.`, [
      { pointer: `/${pointer}`, detail: `must have at most ${bytesMax} bytes, decoded` },
    ]);
  }
  return {
    content: { contentType, ...carried, ...(invitation && { invitation: invitationOf(invitation) }) },
    bytes,
    keepMs: expiresIn * 1000,
    interest: interest && parsePropertyName(interest.property),
  };
}

type Carried = { readonly content: string } | { readonly contentBase64: string };

function contentOf({ content, contentBase64 }: MessageFields): Carried {
  if (content !== undefined && contentBase64 === undefined) return { content };
  if (content !== undefined || contentBase64 === undefined) {
    throw misfit("", "must have either content or contentBase64");
  }
  return { contentBase64 };
}

function lengthOf(carried: Carried): number {
  if ("content" in carried) return Buffer.byteLength(carried.content);
  const { contentBase64 } = carried;
  const bytes = Buffer.from(contentBase64, "base64");
  // RFC 4648 §3.5 and §4: one text for the same bytes, padded, without anything that is not of the alphabet.
  if (bytes.toString("base64") !== contentBase64)
    throw misfit("/contentBase64", "must be base64 (RFC 4648 §4)");
  return bytes.length;
}

function invitationOf({ media, uri }: Invitation): Invitation {
  return uri === undefined ? { media } : { media, uri };
}

function misfit(pointer: string, detail: string): Refusal {
  return new Refusal("bad-request", `The message does not fit: ${`${pointer} ${detail}`.trim()}.`, [
    { pointer, detail },
  ]);
}
