// Inbox: the messages of one stream's reader, from what waits for it to whatever arrives.
// In: what waits, what the feed brings, whether the reader keeps up. Out: messages and receipts, in log order. Never: one that is passed over because its reader is slow; what is not told yet goes on waiting in the log.
import type { Address } from "../core/address.ts";
import { receiptEvent, type TidingsEvent } from "../core/event.ts";
import {
  type Arrived,
  firstOf,
  type Letter,
  type Messages,
  type ReceiptAt,
  type Recipient,
} from "../messages/messages.ts";
import type { Start } from "./history.ts";
import { Progress } from "./progress.ts";

export interface InboxDeps {
  readonly messages: Pick<Messages, "mail" | "rights">;
  /** Resolves once everything is known that any broker has acknowledged. */
  readonly caughtUp: () => Promise<void>;
}

export interface InboxOwner {
  /** How often its reader has taken all that it was owed. */
  readonly takes: number;
  /** As much waits for the reader as should. */
  readonly isBehind: boolean;
  deliver(inbox: Inbox, message: Arrived, when: "live" | "waiting"): void;
  announce(event: TidingsEvent, position: number): void;
  /** What is on its way to the reader must not be for long. */
  recall(): void;
  /** From before this position on it is told by what waits. */
  behind(inbox: Inbox, position: number): void;
}

/** Of what waits, told at a time. */
const pageMax = 100;

export class Inbox implements Recipient, Disposable {
  readonly id = undefined;
  start: Start;
  /** Waiting: what waits is still to be told. Joining: it is being read. Live: what the feed brings is told. */
  stage: "waiting" | "joining" | "live" | "ended" = "waiting";
  readonly #account: Address;
  readonly #owner: InboxOwner;
  readonly #deps: InboxDeps;
  readonly #joined: Disposable;
  readonly #letters: Progress;
  readonly #receipts: Progress;
  /** Receipts from before are still to be read. */
  #owesReceipts: boolean;
  #waiting: readonly Letter[] = [];
  #attempt = 0;

  constructor(owner: InboxOwner, account: Address, start: Start, deps: InboxDeps) {
    this.#owner = owner;
    this.#account = account;
    this.#deps = deps;
    this.start = start;
    const { mail } = deps.messages;
    this.#letters = new Progress(start.position ?? 0);
    this.#receipts = new Progress(start.position ?? mail.position);
    this.#owesReceipts = start.position !== undefined;
    this.#joined = mail.join(account.text, this);
  }

  arrived(message: Arrived): void {
    const { position } = message.letter;
    if (this.stage !== "live" || position <= this.#letters.told) return;
    if (!this.#mayTell(message.letter)) this.#letters.tell(position, this.#owner.takes);
    else if (this.#owner.isBehind) this.#owner.behind(this, position);
    else this.#tell(message, "live");
  }

  confirmed(receipt: ReceiptAt): void {
    if (this.stage === "ended" || this.#owesReceipts) return;
    this.#receipts.tell(receipt.position, this.#owner.takes);
    this.#owner.announce(receiptEvent({ ...receipt, sender: this.#account.text }), receipt.position);
  }

  shutOut(): void {
    this.#owner.recall();
  }

  begin(): number {
    this.stage = "joining";
    return ++this.#attempt;
  }

  get isWaiting(): boolean {
    return this.stage === "waiting";
  }

  isAt(attempt: number): boolean {
    return this.stage === "joining" && this.#attempt === attempt;
  }

  /** @param forgets what its reader was owed was dropped */
  restart(start: Start, forgets: boolean): void {
    this.stage = "waiting";
    this.start = start;
    this.#waiting = [];
    if (!forgets) return;
    this.#letters.back(this.#owner.takes);
    this.#receipts.back(this.#owner.takes);
    this.#owesReceipts = true;
  }

  /** Tells a part of what waits. @returns whether that was all, so that it is live now; undefined when it began anew meanwhile */
  async collect(attempt: number): Promise<boolean | undefined> {
    const { mail } = this.#deps.messages;
    if (this.#waiting.length === 0) {
      await this.#deps.caughtUp();
      if (!this.isAt(attempt)) return undefined;
      this.#waiting = mail.waiting(this.#account.text, this.#letters.told);
    }
    await this.#recall();
    const page = firstOf(this.#waiting, pageMax);
    const read = await mail.read(page);
    if (!this.isAt(attempt)) return undefined;
    for (const message of read) if (this.#mayTell(message.letter)) this.#tell(message, "waiting");
    this.#waiting = this.#waiting.slice(page.length);
    const last = page.at(-1);
    if (last) this.#letters.tell(last.position, this.#owner.takes);
    if (this.#waiting.length > 0) return false;
    this.#waiting = mail.waiting(this.#account.text, this.#letters.told);
    if (this.#waiting.length > 0) return false;
    this.#letters.tell(mail.position, this.#owner.takes);
    this.stage = "live";
    return true;
  }

  [Symbol.dispose](): void {
    this.stage = "ended";
    this.#joined[Symbol.dispose]();
  }

  /** Receipts of before; those that come meanwhile the feed brings. */
  async #recall(): Promise<void> {
    if (!this.#owesReceipts) return;
    const { mail } = this.#deps.messages;
    const upTo = mail.position;
    this.#owesReceipts = false;
    try {
      const receipts = await mail.receipts(this.#account, this.#receipts.told);
      for (const receipt of receipts) if (receipt.position <= upTo) this.confirmed(receipt);
    } catch (error) {
      this.#owesReceipts = true;
      throw error;
    }
  }

  #tell(message: Arrived, when: "live" | "waiting"): void {
    this.#letters.tell(message.letter.position, this.#owner.takes);
    this.#owner.deliver(this, message, when);
  }

  #mayTell(letter: Letter): boolean {
    return this.#deps.messages.rights.mayTell(letter, this.#account.text);
  }
}
