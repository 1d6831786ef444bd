// Messages: sent to somebody, a group, or whoever watches something, and held for the absent. The folder's public file.
// In: principals' messages and acknowledgements. Out: facts, lists, and the mail that streams are fed from. Never: an answer before the log has it, or a word about whom it reaches.
import type { Json } from "../core/json.ts";
import { type Principal, requireScope } from "../core/principal.ts";
import type { Forwarding } from "../forward/forwarding.ts";
import type { Members } from "../groups/groups.ts";
import type { Book } from "../policy/policies.ts";
import type { Access } from "../property/properties.ts";
import type { Follower } from "../store/follower.ts";
import type { Log } from "../store/log.ts";
import { type Acknowledge, openAcknowledging } from "./acknowledging.ts";
import { type BoxLimits, firstOf, openBoxes } from "./boxes.ts";
import { type Mail, openMail } from "./mail.ts";
import { openRights, type Rights } from "./rights.ts";
import { openSending, type Send } from "./sending.ts";

export { type BoxLimits, firstOf, type Letter } from "./boxes.ts";
export type { Arrived, Mail, ReceiptAt, Recipient } from "./mail.ts";
export type { Rights } from "./rights.ts";
export type { MessageFields } from "./wish.ts";

export interface MessagePage {
  readonly messages: readonly Json[];
  /** There is more: send it as `after`. */
  readonly next?: string;
}

export interface Messages extends Disposable {
  readonly send: Send;
  readonly acknowledge: Acknowledge;
  /** What waits for the caller, oldest first. @param after a position */
  list(who: Principal, after: number, limit: number): Promise<MessagePage>;
  readonly mail: Mail;
  readonly rights: Rights;
  /** How many wait. */
  readonly held: number;
}

export interface MessageDeps {
  readonly domain: string;
  readonly log: Log;
  readonly follower: Follower;
  readonly members: Members;
  /** What owners have decided. */
  readonly book: Pick<Book, "listen">;
  readonly access: Access;
  readonly forwarding: Pick<Forwarding, "way">;
  readonly now: () => number;
  /** Others than usual, for tests. */
  readonly limits?: BoxLimits | undefined;
}

export function openMessages(deps: MessageDeps): Messages {
  const { domain, log, follower, members, book, access, forwarding, now, limits } = deps;
  const boxes = openBoxes(now, limits);
  const mail = openMail({ log, follower, members, boxes });
  const rights = openRights({ access, members, isGroup: mail.isGroup, now });
  const turning = book.listen(({ owner, before, after }) => {
    if (before.blocks === after.blocks && before.answers === after.answers) return;
    mail.shutOut((account) => access.blocks(owner, account));
  });

  return {
    send: openSending({ domain, log, follower, boxes, rights, forwarding, now }),
    acknowledge: openAcknowledging({ log, follower, mail, rights, now }),
    async list(who, after, limit) {
      requireScope(who, "message");
      await follower.caughtUp();
      const account = who.address.text;
      const all = mail.waiting(account, after).filter((letter) => rights.mayTell(letter, account));
      const page = firstOf(all, limit);
      const read = await mail.read(page);
      const told = read.filter(({ letter }) => rights.mayTell(letter, account));
      const messages = told.map((arrived) => arrived.event().data);
      const last = page.at(-1);
      return last && page.length < all.length ? { messages, next: String(last.position) } : { messages };
    },
    mail,
    rights,
    get held() {
      return boxes.held;
    },
    [Symbol.dispose]() {
      turning[Symbol.dispose]();
      mail[Symbol.dispose]();
      boxes[Symbol.dispose]();
    },
  };
}
