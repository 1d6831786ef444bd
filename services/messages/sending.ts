// Sending: a message becomes one fact under its recipient, whoever and however many that is.
// In: a principal's message, parsed. Out: its id, once it is durable. Never: an answer, or a time that an answer takes, which tells whether anybody will ever see it.
import { randomBytes } from "node:crypto";
import { type Address, rootOf } from "../core/address.ts";
import type { Json } from "../core/json.ts";
import { actorOf, type Principal, requireScope } from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import type { Forwarding } from "../forward/forwarding.ts";
import { type OnceKey, onceAnswer, onceAppend, onceSubject } from "../property/properties.ts";
import type { Follower } from "../store/follower.ts";
import { type Append, Conflict, type Log, LogUnavailable, OutcomeUnknown } from "../store/log.ts";
import { subjectOf } from "../store/subjects.ts";
import type { Boxes } from "./boxes.ts";
import { type Message, messageBody } from "./message-facts.ts";
import type { Rights } from "./rights.ts";
import { type MessageFields, type MessageWish, parseMessageWish } from "./wish.ts";

export interface SendTerms {
  readonly once?: OnceKey | undefined;
  /** Values of its own properties that the sender discloses, by name. */
  readonly disclosed?: ReadonlyMap<string, Json> | undefined;
  /** Reactions of agents that it comes from. */
  readonly hops?: number | undefined;
}

export type Send = (
  who: Principal,
  to: Address,
  fields: MessageFields,
  terms?: SendTerms,
) => Promise<{ id: string }>;

export interface SendDeps {
  readonly domain: string;
  readonly log: Log;
  readonly follower: Follower;
  readonly boxes: Boxes;
  readonly rights: Rights;
  readonly forwarding: Pick<Forwarding, "way">;
  readonly now: () => number;
}

/** Under whom a message lies, and whether anybody will ever see it. */
interface Admission {
  readonly to: Address;
  readonly isTaken: boolean;
}

const roundsMax = 20;
/** An append without an answer is in the feed by then, or nowhere. */
const unknownMs = 60_000;

export function openSending(deps: SendDeps): Send {
  const { domain, log, follower, boxes, rights, forwarding, now } = deps;

  /**
   * Who gets what is sent to an address: whoever that is forwarded to, as far as each on the way takes it.
   * @throws Refusal what the address itself lets show; of whoever it goes on to, nothing
   */
  async function recipientOf(
    who: Principal,
    disclosed: ReadonlyMap<string, Json>,
    address: Address,
  ): Promise<Admission> {
    let to = address;
    // Asked for whomever, so that it takes as long for those who are shut out.
    const way = await forwarding.way(address);
    if (rights.admit(who, disclosed, to) === "dropped") return { to, isTaken: false };
    if (rootOf(to).text === who.address.text) return { to, isTaken: true };
    for (const next of way) {
      if (!takes(who, disclosed, next)) break;
      to = next;
    }
    return { to, isTaken: true };
  }

  function takes(who: Principal, disclosed: ReadonlyMap<string, Json>, to: Address): boolean {
    try {
      return rights.admit(who, disclosed, to) === "taken";
    } catch {
      return false;
    }
  }

  async function store(
    id: string,
    to: Address,
    message: Message,
    { content, keepMs }: MessageWish,
    record: Append | undefined,
  ): Promise<void> {
    const kind = message.interest === undefined ? "message" : "interest";
    const append: Append = {
      subject: subjectOf(to, kind, id),
      body: messageBody(to.text, message, content),
      expected: 0,
      keepSeconds: Math.ceil(keepMs / 1000),
    };
    const takeBack = boxes.reserve(id, to, message);
    try {
      await log.append(record ? [record, append] : [append]);
    } catch (error) {
      if (error instanceof OutcomeUnknown) setTimeout(takeBack, unknownMs).unref();
      else takeBack();
      throw error;
    }
  }

  return async (who, given, fields, { once, disclosed = new Map(), hops } = {}) => {
    requireScope(who, "message");
    const wish = parseMessageWish(fields);
    if (given.domain !== domain) {
      const detail = `This broker answers for ${domain} and reaches no other domain yet.`;
      throw new Refusal("not-found", detail);
    }
    const onceAt = once === undefined ? undefined : onceSubject(who.address, once);
    for (let round = 0; round < roundsMax; round++) {
      const before = onceAt === undefined ? undefined : await log.last(onceAt);
      if (once && before) return onceAnswer(before, once);
      // Another broker may have acknowledged a decision that this one has yet to hear of.
      await follower.caughtUp();
      const { to, isTaken } = await recipientOf(who, disclosed, given);
      const message: Message = {
        from: actorOf(who).text,
        hops,
        expiresMs: Math.floor(now() + wish.keepMs),
        bytes: wish.bytes,
        content: isTaken ? wish.content : undefined,
        interest: wish.interest,
        revealed: [...disclosed.keys()],
      };
      const id = randomBytes(12).toString("base64url");
      try {
        const record = once && onceAt !== undefined ? onceAppend(onceAt, once, { id }) : undefined;
        await store(id, to, message, wish, record);
        return { id };
      } catch (error) {
        // The same request came twice at once: the other one was first.
        if (!(error instanceof Conflict) || onceAt === undefined) throw error;
      }
    }
    throw new LogUnavailable("others kept using the same Idempotency-Key");
  };
}
