// The one registry of refusals: each code with its status, and what the caller can do about it.
// In: nothing. Out: a table. Never: two codes for what a caller must not tell apart.
import { tooMany } from "./too-many.ts";

interface Meaning {
  readonly status: number;
  readonly title: string;
  /** What the caller can do about it, in plain words: the text of `GET /problems/<code>`. */
  readonly remedy: string;
}

export const refusals = {
  moved: {
    status: 308,
    title: "The node has moved",
    remedy:
      "Its owner is found at the address in `to`: ask there, as `Location` says. 308 holds until the owner says otherwise, 307 for a time only.",
  },
  "bad-request": {
    status: 400,
    title: "The request does not fit",
    remedy:
      "A field is missing, unknown or of the wrong type. `errors` points at each one; compare with /openapi.json and send the request again.",
  },
  "bad-json": {
    status: 400,
    title: "The body is not proper JSON",
    remedy:
      "Send UTF-8 JSON as RFC 8259 describes it, each key once, without the key __proto__. Most JSON libraries do this by themselves.",
  },
  "bad-vcard": {
    status: 400,
    title: "These are not cards that can be read here",
    remedy:
      "Send vCard 4.0 (RFC 6350) in UTF-8, one card a contact, each with FN and a line such as IMPP:acct:bob@example.com. `detail` names the first card that does not fit; nothing was stored.",
  },
  "bad-address": {
    status: 400,
    title: "This is not an address",
    remedy:
      "An address is local@domain, with an optional path: alice@example.com/bike. local is [a-z0-9][a-z0-9._+-]{0,63}; the path has 1 to 8 segments of [A-Za-z0-9._~-]{1,64}. In a URL the whole address is one percent-encoded segment.",
  },
  "bad-name": {
    status: 400,
    title: "This is not a property name",
    remedy:
      "A name is [a-z0-9][a-z0-9.-]{0,126}: lower case, digits, dots and hyphens, such as profile.name.",
  },
  "bad-cursor": {
    status: 400,
    title: "This is not a cursor of this broker",
    remedy:
      "Leave the cursor out to start with a fresh snapshot, or send one exactly as an event carried it.",
  },
  "bad-precondition": {
    status: 400,
    title: "A condition or key in the headers cannot be read",
    remedy:
      'If-Match takes one revision in quotes ("17"); If-None-Match takes a revision or *; Idempotency-Key takes 1 to 255 visible ASCII characters.',
  },
  unauthenticated: {
    status: 401,
    title: "Who is asking is not known",
    remedy:
      "Send `Authorization: Bearer <token>` with a token that is still good. POST /v1/accounts or POST /v1/tokens gives one.",
  },
  forbidden: {
    status: 403,
    title: "This is not yours to do",
    remedy: "Use the account that owns the node, or ask its owner for a grant.",
  },
  "scope-missing": {
    status: 403,
    title: "The token does not reach this far",
    remedy: "Make a token with the scope that `detail` names: POST /v1/tokens.",
  },
  "wrong-password": {
    status: 403,
    title: "This is not the password that is set",
    remedy: "Send the account's present password as `current`.",
  },
  "wrong-code": {
    status: 403,
    title: "This code is not good",
    remedy:
      "A code is good once, for 24 hours, until a newer one is sent or five wrong ones were tried. POST /v1/me/email/code sends another.",
  },
  "registration-closed": {
    status: 403,
    title: "This domain does not take this registration",
    remedy:
      "Ask the operator of the domain for an account, or for an invitation: it is sent as `invitation` and good for a while and for so many accounts.",
  },
  blocked: {
    status: 403,
    title: "The owner has blocked you",
    remedy: "Nothing of this owner reaches you until the owner lifts the block.",
  },
  "reveal-required": {
    status: 403,
    title: "The owner wants to know more about who is asking",
    remedy:
      "`detail` names properties of your own node that the owner asks you to disclose. Set them, and name them in `reveal`: in the body of POST /v1/subscriptions, or as ?reveal=name,name elsewhere.",
  },
  "origin-refused": {
    status: 403,
    title: "This page may not open a stream here",
    remedy:
      "The page comes from an origin that this broker does not serve. Ask its operator to add the origin to TIDINGS_ORIGINS.",
  },
  "not-found": {
    status: 404,
    title: "There is nothing here for you",
    remedy:
      "The address, property or resource does not exist, or you may not see it; the broker does not say which. Check the spelling, or authenticate.",
  },
  "lease-ended": {
    status: 404,
    title: "You hold no such lease",
    remedy: "The lease has ended or never was. Set the property again with a new lease.",
  },
  "method-not-allowed": {
    status: 405,
    title: "The resource does not know this method",
    remedy: "The Allow header lists the methods that it knows.",
  },
  "handle-taken": {
    status: 409,
    title: "Somebody has this handle",
    remedy:
      "Choose another handle, or leave it out and the broker issues a number. A handle that was once given is not given again.",
  },
  "nothing-to-confirm": {
    status: 409,
    title: "There is no e-mail address to confirm",
    remedy:
      "`detail` says why: none is set (PUT /v1/me/email sets one), it is confirmed already, or the operator gave the broker no mail server.",
  },
  "type-taken": {
    status: 409,
    title: "The domain has a type of this name",
    remedy: "Choose another property name; a domain's own type comes before anybody's custom type.",
  },
  "forward-loop": {
    status: 409,
    title: "This forward leads back, or too far",
    remedy:
      "Name an address whose own forwards do not lead to you, and that is not forwarded through more than 7 others itself.",
  },
  "no-parent": {
    status: 409,
    title: "The node above does not exist",
    remedy: "Create the parent node first.",
  },
  "revision-mismatch": {
    status: 412,
    title: "The property has changed",
    remedy: "Read it again, decide anew, and send the new revision in If-Match.",
  },
  "body-too-large": {
    status: 413,
    title: "The body is too large",
    remedy: "A body may have 256 KiB. Split the request.",
  },
  "value-too-large": {
    status: 413,
    title: "The value is too large",
    remedy: "A value may have 64 KiB as JSON. Keep large things elsewhere and publish their address.",
  },
  "message-too-large": {
    status: 413,
    title: "The message is too large",
    remedy: "Its content may have 64 KiB, decoded. Keep large things elsewhere and send their address.",
  },
  "upgrade-required": {
    status: 426,
    title: "This resource speaks WebSocket",
    remedy: "Open a WebSocket here with the subprotocol `tidings.v1` (RFC 6455).",
  },
  "unsupported-media-type": {
    status: 415,
    title: "The body is of a type that is not understood here",
    remedy: "Send `Content-Type: application/json` with UTF-8.",
  },
  "bad-lease": {
    status: 422,
    title: "The lease cannot be granted",
    remedy: "A lease lasts from 1 second to 30 days (2592000 seconds); fractions are allowed.",
  },
  "bad-filter": {
    status: 422,
    title: "This is not a filter",
    remedy:
      'A filter is a CEL expression that is true or false, of at most 2,048 characters, over node, name, value, previous and now, such as `value.seats > 2 && value.city in ["Oslo", "Bergen"]`. `detail` says where it fails.',
  },
  "bad-webhook": {
    status: 422,
    title: "Nothing can be delivered there",
    remedy:
      "A webhook has an https:// or http:// URL of at most 2,048 characters on the public internet, without user name or password; TIDINGS_WEBHOOK_ALLOW_PRIVATE lets a broker reach private addresses. A secret of your own is whsec_ and base64 of 24 to 64 bytes. An endpoint that answers OPTIONS with WebHook-Allowed-Origin must allow this domain, or *. `errors` points at what does not fit.",
  },
  "answer-too-large": {
    status: 422,
    title: "The answer would have more than 16 MiB",
    remedy: "Select some with `properties`; `names=true` lists what is there, `depth=0` leaves out children.",
  },
  "search-too-broad": {
    status: 422,
    title: "The search would have to look at too much",
    remedy:
      'A search may take a quarter of a second. Name a word that few nodes hold in `q`, or compare a property with a constant in `where`, joined by &&: `prop("travel").city == "Oslo" && …`. Simpler expressions take less.',
  },
  "too-deep": {
    status: 422,
    title: "The JSON nests too deep",
    remedy: "At most 32 levels are allowed. Flatten the value.",
  },
  ...tooMany,
  "value-invalid": {
    status: 422,
    title: "The value does not fit its type",
    remedy: "`errors` points into the value. GET /v1/types/<name> shows the schema that it must fit.",
  },
  "type-invalid": {
    status: 422,
    title: "The schema cannot be used",
    remedy:
      "Send a JSON Schema (2020-12) of at most 16 KiB whose references stay inside it (#/…) and whose patterns RE2 understands.",
  },
  "idempotency-mismatch": {
    status: 422,
    title: "The Idempotency-Key was used for another request",
    remedy: "Use a new key for a new request; repeat a key only with exactly the same request.",
  },
  "rate-limited": {
    status: 429,
    title: "Too many requests",
    remedy:
      "Wait as long as Retry-After says. The header fields RateLimit and RateLimit-Policy of every answer tell how much is left and how fast it comes back.",
  },
  internal: {
    status: 500,
    title: "The broker made a mistake",
    remedy: "Try again; if it stays, tell the operator the request id of the answer.",
  },
  unavailable: {
    status: 503,
    title: "The broker cannot do this right now",
    remedy:
      "Try again after Retry-After. A write that was answered so may or may not have happened; with an Idempotency-Key it is safe to repeat.",
  },
  "inbox-full": {
    status: 507,
    title: "No more messages fit there",
    remedy:
      "Nothing was stored. At most 1,000 messages or 4 MiB of one sender wait for one recipient, and 10,000 or 32 MiB in all. Try again once some were acknowledged or have expired.",
  },
  "storage-full": {
    status: 507,
    title: "The store is full",
    remedy: "Nothing was stored. Try again after Retry-After; the operator must free space.",
  },
} as const satisfies Record<string, Meaning>;

export type RefusalCode = keyof typeof refusals;
