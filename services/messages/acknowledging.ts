// Acknowledging: a recipient has a message, and it waits no more; its sender may be told.
// In: a principal and an id. Out: tombstones, what a member has of a group's messages, receipts. Never: a receipt that the recipient's policy does not grant.
import { type Address, parseAddress, rootOf } from "../core/address.ts";
import { type Principal, requireScope } from "../core/principal.ts";
import type { Follower } from "../store/follower.ts";
import { type Append, Conflict, type Log, LogUnavailable } from "../store/log.ts";
import { subjectOf } from "../store/subjects.ts";
import type { Letter } from "./boxes.ts";
import type { Mail } from "./mail.ts";
import {
  acknowledgedBody,
  acknowledgedOf,
  acknowledging,
  nothingAcknowledged,
  receiptBody,
  receiptName,
} from "./message-facts.ts";
import type { Rights } from "./rights.ts";
import { keepSecondsMax } from "./wish.ts";

export interface AcknowledgeDeps {
  readonly log: Log;
  readonly follower: Follower;
  readonly mail: Pick<Mail, "find" | "waiting" | "isGroup">;
  readonly rights: Pick<Rights, "mayTell" | "mayConfirm">;
  readonly now: () => number;
}

/** Nothing happens where no such message waits. */
export type Acknowledge = (who: Principal, id: string, state: "delivered" | "read") => Promise<void>;

const idPattern = /^[A-Za-z0-9_-]{1,64}$/;
const roundsMax = 20;

export function openAcknowledging({ log, follower, mail, rights, now }: AcknowledgeDeps): Acknowledge {
  function find(account: Address, id: string): Letter | undefined {
    const letter = idPattern.test(id) ? mail.find(account.text, id) : undefined;
    return letter && rights.mayTell(letter, account.text) ? letter : undefined;
  }

  async function acknowledgementOf(account: Address, letter: Letter): Promise<Append> {
    const { box, id, position, expiresMs } = letter;
    const group = box.address.text;
    if (!mail.isGroup(group)) {
      const subject = subjectOf(box.address, "message", id);
      const keepSeconds = Math.max(1, Math.ceil((expiresMs - now()) / 1000));
      return { subject, body: acknowledgedBody, expected: position, keepSeconds };
    }
    const subject = subjectOf(account, "ack", group);
    const fact = await log.last(subject);
    const open = mail
      .waiting(account.text, 0)
      .filter((one) => one.box === box && one.from !== account.text)
      .map((one) => one.position);
    const before = fact ? acknowledgedOf(fact) : nothingAcknowledged;
    const body = JSON.stringify(acknowledging(before, position, open));
    return { subject, body, expected: fact?.position ?? 0, keepSeconds: keepSecondsMax };
  }

  function receiptOf(account: Address, { id, from }: Letter, state: "delivered" | "read"): Append[] {
    if (!rights.mayConfirm(account, from)) return [];
    const receipt = { id, by: account.text, state, atMs: Math.floor(now()) };
    const subject = subjectOf(rootOf(parseAddress(from)), "receipt", receiptName(receipt));
    return [{ subject, body: receiptBody(receipt), expected: 0, keepSeconds: keepSecondsMax }];
  }

  return async (who, id, state) => {
    requireScope(who, "message");
    const account = rootOf(who.address);
    for (let round = 0; round < roundsMax; round++) {
      if (round > 0 || find(account, id) === undefined) await follower.caughtUp();
      const letter = find(account, id);
      if (letter === undefined) return;
      try {
        const acknowledgement = await acknowledgementOf(account, letter);
        await log.append([acknowledgement, ...receiptOf(account, letter, state)]);
        return;
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
        // Another device of the same account did it.
      }
    }
    throw new LogUnavailable("others kept acknowledging at the same time");
  };
}
