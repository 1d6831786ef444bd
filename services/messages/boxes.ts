// Boxes: which messages wait for whom, without their contents, as of the place that the feed has come to.
// In: message facts in log order, and messages that are about to be stored. Out: what waits, in order, and how much of it is whose. Never: a content, or a scan of the log.
import { type Address, rootOf } from "../core/address.ts";
import { Refusal } from "../core/refusal.ts";
import type { Message } from "./message-facts.ts";

/** A message without its content. */
export interface Letter {
  readonly id: string;
  readonly box: Box;
  readonly from: string;
  readonly bytes: number;
  readonly expiresMs: number;
  /** Nobody is ever shown anything of it. */
  readonly isDropped: boolean;
  /** The property whose watchers it is for; undefined: it is for the recipient. */
  readonly interest: string | undefined;
  readonly revealed: readonly string[];
  /** 0 while it is on its way into the log. */
  readonly position: number;
}

interface Total {
  count: number;
  bytes: number;
}

/** What waits at one node. */
export interface Box {
  readonly address: Address;
  /** By id, in log order but for those that are on their way. */
  readonly letters: Map<string, Letter>;
  /** Of all that somebody may be shown. */
  readonly good: Total;
  /** How many are for whoever watches a property. */
  interests: number;
  /** When to look again for what has expired. */
  nextMs: number;
  readonly ofSender: Map<string, { readonly all: Total; readonly dropped: Total }>;
  /** What each member has of a group's messages; worth nothing once they are gone. */
  readonly acknowledged: Map<string, { readonly upTo: number; readonly also: ReadonlySet<number> }>;
}

export interface BoxLimits {
  /** What may wait of one sender for one recipient. */
  readonly ofPair: Total;
  /** What may wait for one recipient. */
  readonly ofRecipient: Total;
}

const sweepMs = 60_000;
/** A box is not gone through more often: what has expired meanwhile is shown to nobody, and counts a moment longer. */
const pruneMs = 1_000;

/** Of contents, read at a time. */
const pageBytesMax = 1024 * 1024;

const usualBoxLimits: BoxLimits = {
  ofPair: { count: 1_000, bytes: 4 * 1024 * 1024 },
  ofRecipient: { count: 10_000, bytes: 32 * 1024 * 1024 },
};

export interface Boxes extends Disposable {
  /** Undefined where nothing waits. */
  at(node: string): Box | undefined;
  /** At an account's node and the nodes under it. */
  ofAccount(account: string): Iterable<Box>;
  /** Counts a message before it is stored. @returns what takes it back, unless the feed has brought it. @throws Refusal `inbox-full` */
  reserve(id: string, to: Address, message: Message): () => void;
  /** What the feed brought; undefined: it was acknowledged. */
  take(id: string, to: Address, position: number, message: Message | undefined): Letter | undefined;
  /** How many wait that somebody may be shown. */
  readonly held: number;
}

export function openBoxes(now: () => number, limits: BoxLimits = usualBoxLimits): Boxes {
  const boxes = new Map<string, Box>();
  const accounts = new Map<string, Set<Box>>();
  let held = 0;
  // Nobody may ever look into a box again.
  const sweeping = setInterval(() => {
    for (const box of boxes.values()) prune(box);
  }, sweepMs);
  sweeping.unref();

  function boxOf(to: Address): Box {
    const known = boxes.get(to.text);
    if (known) return known;
    const box: Box = {
      address: to,
      letters: new Map(),
      good: { count: 0, bytes: 0 },
      interests: 0,
      nextMs: Number.POSITIVE_INFINITY,
      ofSender: new Map(),
      acknowledged: new Map(),
    };
    boxes.set(to.text, box);
    const account = rootOf(to).text;
    const beside = accounts.get(account);
    if (beside) beside.add(box);
    else accounts.set(account, new Set([box]));
    return box;
  }

  function put(letter: Letter): void {
    const { box, id } = letter;
    const before = box.letters.get(id);
    if (before) count(before, -1);
    // What was on its way comes last, as the log has it.
    box.letters.delete(id);
    box.letters.set(id, letter);
    count(letter, 1);
    box.nextMs = Math.min(box.nextMs, letter.expiresMs);
  }

  function remove(box: Box, id: string): void {
    const letter = box.letters.get(id);
    if (letter === undefined) return;
    box.letters.delete(id);
    count(letter, -1);
    if (box.letters.size > 0) return;
    const { text } = box.address;
    if (boxes.get(text) !== box) return;
    boxes.delete(text);
    const account = rootOf(box.address).text;
    const beside = accounts.get(account);
    beside?.delete(box);
    if (beside?.size === 0) accounts.delete(account);
  }

  function count({ box, from, bytes, isDropped, interest }: Letter, sign: 1 | -1): void {
    const sender = box.ofSender.get(from) ?? { all: { count: 0, bytes: 0 }, dropped: { count: 0, bytes: 0 } };
    box.ofSender.set(from, sender);
    for (const total of [sender.all, isDropped ? sender.dropped : box.good]) {
      total.count += sign;
      total.bytes += sign * bytes;
    }
    if (interest !== undefined) box.interests += sign;
    if (!isDropped) held += sign;
    if (sender.all.count === 0) box.ofSender.delete(from);
  }

  /** What has expired waits no more, whatever the log still holds. */
  function prune(box: Box): void {
    const nowMs = now();
    if (nowMs < box.nextMs) return;
    let nextMs = Number.POSITIVE_INFINITY;
    for (const [id, { expiresMs }] of box.letters) {
      if (expiresMs <= nowMs) remove(box, id);
      else nextMs = Math.min(nextMs, expiresMs);
    }
    box.nextMs = Math.max(nextMs, nowMs + pruneMs);
  }

  /**
   * Whoever is refused without a trace is counted as if it were not: what it sent takes room from itself alone, so that
   * nobody who is shut out fills the box for others.
   */
  function require(box: Box | undefined, { from, bytes }: Message): void {
    const none = { count: 0, bytes: 0 };
    const { all = none, dropped = none } = box?.ofSender.get(from) ?? {};
    const { good = none } = box ?? {};
    const isFull = (total: Total, also: Total, max: Total): boolean =>
      total.count + also.count + 1 > max.count || total.bytes + also.bytes + bytes > max.bytes;
    if (isFull(all, none, limits.ofPair) || isFull(good, dropped, limits.ofRecipient)) {
      throw new Refusal("inbox-full", "As many messages wait there as may.");
    }
  }

  function letterOf(id: string, box: Box, position: number, message: Message): Letter {
    const { from, bytes, expiresMs, content, interest, revealed } = message;
    const isDropped = content === undefined;
    return { id, box, from, bytes, expiresMs, isDropped, interest, revealed, position };
  }

  return {
    at(node) {
      const box = boxes.get(node);
      if (box) prune(box);
      return box;
    },
    ofAccount: (account) => accounts.get(account) ?? [],
    reserve(id, to, message) {
      const known = boxes.get(to.text);
      if (known) prune(known);
      require(known, message);
      const letter = letterOf(id, boxOf(to), 0, message);
      put(letter);
      return () => {
        if (letter.box.letters.get(id) === letter) remove(letter.box, id);
      };
    },
    take(id, to, position, message) {
      if (message && message.expiresMs > now()) {
        const letter = letterOf(id, boxOf(to), position, message);
        put(letter);
        return letter;
      }
      const box = boxes.get(to.text);
      if (box) remove(box, id);
      return undefined;
    },
    get held() {
      return held;
    },
    [Symbol.dispose]: () => clearInterval(sweeping),
  };
}

/** At least one, and no more than fit. */
export function firstOf(letters: readonly Letter[], countMax: number): readonly Letter[] {
  let bytes = 0;
  let count = 0;
  for (const letter of letters) {
    if (count > 0 && (count >= countMax || bytes + letter.bytes > pageBytesMax)) break;
    bytes += letter.bytes;
    count++;
  }
  return letters.slice(0, count);
}
