// Message facts: messages, acknowledgements and receipts as the log holds them.
// In: bodies of facts. Out: what they say; undefined once a message was acknowledged. Never: one that was not checked when it was made.
import { timestamp } from "../core/event.ts";
import { oncePerFact } from "../store/decoded.ts";
import type { Fact } from "../store/log.ts";
import { nameOf } from "../store/subjects.ts";

export interface Invitation {
  readonly media: string;
  readonly uri?: string;
}

/** What a message holds, as it came. */
export interface Content {
  readonly contentType: string;
  readonly content?: string;
  readonly contentBase64?: string;
  readonly invitation?: Invitation;
}

/** Under the recipient's node, by its id: kind `message`, or `interest` where it is for whoever watches a property. */
export interface Message {
  readonly from: string;
  readonly expiresMs: number;
  /** Of the content, decoded. */
  readonly bytes: number;
  /** Undefined: it was accepted without a trace of a refusal, and nobody is ever shown anything of it. */
  readonly content: Content | undefined;
  /** It is for whoever watches this property; undefined: for the recipient. */
  readonly interest: string | undefined;
  /** Names of its own properties that the sender disclosed to the recipient. */
  readonly revealed: readonly string[];
  /** Reactions of agents that it came from. */
  readonly hops?: number | undefined;
}

interface Wire extends Partial<Content> {
  from: string;
  to?: string;
  expires: number;
  bytes: number;
  interest?: string;
  reveal?: readonly string[];
  dropped?: true;
  hops?: number;
}

/** As a recipient is told of it, and as it is listed. */
export interface MessageShape extends Content {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  /** RFC 3339 UTC with milliseconds. */
  readonly expires: string;
}

export function messageShape(
  id: string,
  to: string,
  { from, expiresMs }: Message,
  content: Content,
): MessageShape {
  return { id, from, to, ...content, expires: timestamp(expiresMs) };
}

/** @param content of one that is dropped too: what is stored for it is as long, and says nothing of it */
export function messageBody(to: string, message: Message, content: Content): string {
  const { from, expiresMs: expires, bytes, interest, revealed } = message;
  const wire: Wire = { from, expires, bytes };
  if (interest !== undefined) wire.interest = interest;
  if (revealed.length > 0) wire.reveal = revealed;
  if (message.hops) wire.hops = message.hops;
  const body = JSON.stringify({ ...wire, to, ...content });
  if (message.content) return body;
  const bare = JSON.stringify({ from, expires, bytes, interest, dropped: true, filling: "" });
  const filling = ".".repeat(Math.max(0, Buffer.byteLength(body) - bare.length));
  return JSON.stringify({ from, expires, bytes, interest, dropped: true, filling });
}

export const messageOf = oncePerFact(({ body }): Message | undefined => {
  const wire = JSON.parse(body) as Partial<Wire>;
  if (wire.from === undefined) return undefined;
  const { from, expires, bytes, interest, reveal = [], dropped, to, hops, ...content } = wire as Wire;
  return {
    from,
    expiresMs: expires,
    bytes,
    content: dropped ? undefined : (content as Content),
    interest,
    revealed: reveal,
    hops,
  };
});

export const acknowledgedBody = "{}";

/** What one member has acknowledged of a group's messages: under the member's node, by the group's address. */
export interface Acknowledged {
  /** Every message up to this position. */
  readonly upTo: number;
  /** And those at these positions beyond it. */
  readonly also: readonly number[];
}

export const nothingAcknowledged: Acknowledged = { upTo: 0, also: [] };

export const acknowledgedOf = oncePerFact(({ body }): Acknowledged => {
  const { upTo = 0, also = [] } = JSON.parse(body) as Partial<Acknowledged>;
  return { upTo, also };
});

/** @param open positions of the group's messages that the member has yet to acknowledge, as far as is known */
export function acknowledging(before: Acknowledged, position: number, open: readonly number[]): Acknowledged {
  const done = new Set([...before.also, position]);
  const firstOpen = Math.min(...open.filter((one) => one > before.upTo && !done.has(one)));
  const upTo = Math.max(before.upTo, ...[...done].filter((one) => one < firstOpen));
  return { upTo, also: [...done].filter((one) => one > upTo).sort((a, b) => a - b) };
}

/** Under the sender's node: somebody has its message. */
export interface Receipt {
  /** Of the message. */
  readonly id: string;
  readonly by: string;
  readonly state: "delivered" | "read";
  readonly atMs: number;
}

interface ReceiptWire {
  by: string;
  at: number;
  read?: true;
}

/** One for each message, and for each member of a group. */
export function receiptName({ id, by }: Pick<Receipt, "id" | "by">): string {
  return `${id} ${by}`;
}

export function receiptBody({ by, state, atMs }: Receipt): string {
  const wire: ReceiptWire = { by, at: atMs };
  if (state === "read") wire.read = true;
  return JSON.stringify(wire);
}

export function receiptOf(fact: Fact): Receipt | undefined {
  const { by, at, read } = JSON.parse(fact.body) as Partial<ReceiptWire>;
  if (by === undefined || at === undefined) return undefined;
  const [id = ""] = nameOf(fact.subject).split(" ");
  return { id, by, state: read ? "read" : "delivered", atMs: at };
}
