// Mail: from the feed to whoever is there to be told, and for those who come later what waits.
// In: facts, in log order. Out: messages and receipts to recipients; lists of what waits. Never: a cost for members who are not here, or a content that nobody asked for.
import { type Address, type Depth, isWithin, rootOf } from "../core/address.ts";
import { messageReceived, type TidingsEvent } from "../core/event.ts";
import type { Json } from "../core/json.ts";
import type { Members } from "../groups/groups.ts";
import { nodeOf } from "../store/decoded.ts";
import type { Follower } from "../store/follower.ts";
import type { Fact, Log } from "../store/log.ts";
import { factsOfNode, placeOf, subjectOf } from "../store/subjects.ts";
import type { Boxes, Letter } from "./boxes.ts";
import { acknowledgedOf, messageOf, messageShape, type Receipt, receiptOf } from "./message-facts.ts";

/** A message as it is told. */
export interface Arrived {
  readonly letter: Letter;
  readonly subject: string;
  readonly timeMs: number;
  event(): TidingsEvent;
}

export interface ReceiptAt extends Receipt {
  readonly position: number;
}

/** One stream of an account. */
export interface Recipient {
  /** Whether it may be told of it is asked of `mayTell`, when it is told. */
  arrived(message: Arrived): void;
  confirmed(receipt: ReceiptAt): void;
  /** Somebody has shut it out: what is on its way to it may be of that party. */
  shutOut(): void;
}

export interface Mail extends Disposable {
  /** Up to where all that waits is known. */
  readonly position: number;
  join(account: string, recipient: Recipient): Disposable;
  /** Those that are here of accounts that were shut out. */
  shutOut(isShutOut: (account: string) => boolean): void;
  /** What waits for an account beyond a position, in log order: not yet what it may be told. */
  waiting(account: string, after: number): readonly Letter[];
  /** One that waits for an account, by its id. */
  find(account: string, id: string): Letter | undefined;
  /** The same for whoever watches properties at a place. */
  interests(place: { node: Address; depth: Depth }, after: number, upTo: number): readonly Letter[];
  /** What they hold; those that are no more are left out. */
  read(letters: readonly Letter[]): Promise<readonly Arrived[]>;
  /** Those of an account beyond a position. */
  receipts(account: Address, after: number): Promise<readonly ReceiptAt[]>;
  /** What a fact of kind `interest` tells; undefined where it tells nothing. */
  ofInterest(fact: Fact): Arrived | undefined;
  isGroup(node: string): boolean;
}

export interface MailDeps {
  readonly log: Log;
  readonly follower: Follower;
  readonly members: Pick<Members, "of" | "groupsOf">;
  readonly boxes: Boxes;
}

const kinds: ReadonlySet<string> = new Set(["message", "interest", "receipt", "ack", "node"]);

export function openMail({ log, follower, members, boxes }: MailDeps): Mail {
  const recipients = new Map<string, Set<Recipient>>();
  const groups = new Set<string>();
  const following = follower.listen({ take });
  let position = 0;

  function take(fact: Fact): void {
    position = fact.position;
    // Most are properties, and none of its business.
    const nameAt = fact.subject.lastIndexOf(".");
    if (!kinds.has(fact.subject.slice(fact.subject.lastIndexOf(".", nameAt - 1) + 1, nameAt))) return;
    const { address, kind, name } = placeOf(fact.subject);
    switch (kind) {
      case "message":
        takeMessage(fact, address, name);
        break;
      case "interest":
        boxes.take(name, address, fact.position, messageOf(fact));
        break;
      case "receipt":
        takeReceipt(fact, address);
        break;
      case "ack": {
        const { upTo, also } = acknowledgedOf(fact);
        boxes.at(name)?.acknowledged.set(address.text, { upTo, also: new Set(also) });
        break;
      }
      case "node":
        if (nodeOf(fact)?.nodeKind === "group") groups.add(address.text);
        else groups.delete(address.text);
    }
  }

  function takeMessage(fact: Fact, to: Address, id: string): void {
    const letter = boxes.take(id, to, fact.position, messageOf(fact));
    if (letter === undefined || letter.isDropped || recipients.size === 0) return;
    const arrived = arrivedOf(fact, letter);
    for (const account of accountsOf(to)) {
      for (const recipient of recipients.get(account) ?? []) recipient.arrived(arrived);
    }
  }

  /** Of those whom it may be for the ones that are here; of a large group, or a small audience, the fewer are gone through. */
  function* accountsOf(to: Address): Iterable<string> {
    if (!groups.has(to.text)) {
      yield rootOf(to).text;
      return;
    }
    const all = members.of(to.text);
    if (all.size <= recipients.size) yield* all.keys();
    else for (const account of recipients.keys()) if (all.has(account)) yield account;
    if (to.path.length === 0 && !all.has(to.text)) yield to.text;
  }

  function takeReceipt(fact: Fact, sender: Address): void {
    const here = recipients.get(sender.text);
    const receipt = here && receiptOf(fact);
    if (receipt === undefined) return;
    for (const recipient of here ?? []) recipient.confirmed({ ...receipt, position: fact.position });
  }

  function hasAcknowledged(account: string, { box, position: at }: Letter): boolean {
    const known = box.acknowledged.get(account);
    return known !== undefined && (at <= known.upTo || known.also.has(at));
  }

  function* boxesOf(account: string): Iterable<{ letters: Iterable<Letter>; isGroup: boolean }> {
    for (const box of boxes.ofAccount(account)) {
      const isGroup = groups.has(box.address.text);
      if (!isGroup || box.address.text === account) yield { letters: box.letters.values(), isGroup };
    }
    for (const group of members.groupsOf(account).keys()) {
      const box = boxes.at(group);
      if (box && group !== account) yield { letters: box.letters.values(), isGroup: true };
    }
  }

  function* lettersOf(account: string): Iterable<Letter> {
    for (const { letters, isGroup } of boxesOf(account)) {
      for (const letter of letters) {
        // What has expired may still lie there, and what has no position is on its way into the log.
        if (letter.position === 0 || letter.isDropped || letter.interest !== undefined) continue;
        if (!isGroup || !hasAcknowledged(account, letter)) yield letter;
      }
    }
  }

  return {
    get position() {
      return position;
    },
    join(account, recipient) {
      const here = recipients.get(account) ?? new Set();
      recipients.set(account, here.add(recipient));
      return {
        [Symbol.dispose]() {
          if (here.delete(recipient) && here.size === 0 && recipients.get(account) === here)
            recipients.delete(account);
        },
      };
    },
    shutOut(isShutOut) {
      for (const [account, here] of recipients) {
        if (isShutOut(account)) for (const recipient of here) recipient.shutOut();
      }
    },
    waiting: (account, after) =>
      [...lettersOf(account)].filter((letter) => letter.position > after).sort(byPosition),
    find(account, id) {
      for (const letter of lettersOf(account)) if (letter.id === id) return letter;
      return undefined;
    },
    interests({ node, depth }, after, upTo) {
      const found: Letter[] = [];
      if (after >= upTo) return found;
      for (const box of boxes.ofAccount(rootOf(node).text)) {
        if (box.interests === 0 || !isWithin(box.address.path, node.path, depth)) continue;
        for (const letter of box.letters.values()) {
          const { position: at, interest, isDropped } = letter;
          if (interest !== undefined && !isDropped && at > after && at <= upTo) found.push(letter);
        }
      }
      return found.sort(byPosition);
    },
    async read(letters) {
      if (letters.length === 0) return [];
      const byPlace = new Map(letters.map((letter) => [subjectOfLetter(letter), letter]));
      const { facts } = await log.snapshot([...byPlace.keys()]);
      const found = facts.flatMap((fact) => {
        const letter = byPlace.get(fact.subject);
        return letter && fact.position === letter.position ? [arrivedOf(fact, letter)] : [];
      });
      return found.sort((a, b) => byPosition(a.letter, b.letter));
    },
    async receipts(account, after) {
      const { facts } = await log.snapshot([factsOfNode(account, "receipt")]);
      return facts.flatMap((fact) => {
        const receipt = fact.position > after ? receiptOf(fact) : undefined;
        return receipt ? [{ ...receipt, position: fact.position }] : [];
      });
    },
    ofInterest(fact) {
      const { address, name } = placeOf(fact.subject);
      const letter = boxes.at(address.text)?.letters.get(name);
      return letter?.position === fact.position && !letter.isDropped ? arrivedOf(fact, letter) : undefined;
    },
    isGroup: (node) => groups.has(node),
    [Symbol.dispose]: () => following[Symbol.dispose](),
  };
}

function arrivedOf(fact: Fact, letter: Letter): Arrived {
  const { subject, timeMs } = fact;
  const { id, box } = letter;
  const to = box.address.text;
  return {
    letter,
    subject,
    timeMs,
    event() {
      const message = messageOf(fact);
      if (message?.content === undefined) throw new Error(`${id} has nothing that could be told`);
      const data = messageShape(id, to, message, message.content);
      const { hops } = message;
      return messageReceived({
        id,
        node: to,
        timeMs,
        hops,
        data: data as unknown as { [key: string]: Json },
      });
    },
  };
}

function subjectOfLetter({ box, id, interest }: Letter): string {
  return subjectOf(box.address, interest === undefined ? "message" : "interest", id);
}

function byPosition(a: Letter, b: Letter): number {
  return a.position - b.position;
}
