// Policies: what an owner lets others know, and whom it blocks. The folder's public file.
// In: owners' wishes. Out: facts in the same log as the properties, so that a block comes before whatever is accepted after it. Never: an answer before this broker itself keeps to it.
import type { Address } from "../core/address.ts";
import type { BlockMode } from "../core/blocks.ts";
import { timestamp } from "../core/event.ts";
import { tombstoneSeconds } from "../core/fact.ts";
import type { Answer, Rule } from "../core/policy.ts";
import { Refusal } from "../core/refusal.ts";
import type { Members } from "../groups/groups.ts";
import type { Follower } from "../store/follower.ts";
import type { Heads } from "../store/heads.ts";
import { Conflict, type Fact, type Log, LogUnavailable, onceApplied } from "../store/log.ts";
import { factsOfNode, nameOf, subjectOf } from "../store/subjects.ts";
import { type Book, openBook } from "./book.ts";
import { answerBody, blockBody, blockOf, rulesBody, rulesOf } from "./policy-facts.ts";

export type { Book, Turn } from "./book.ts";
export { parseRules, parseWho, type RuleWish } from "./rules.ts";

export interface BlockShape {
  readonly who: string;
  readonly mode: BlockMode;
  readonly since: string;
}

export interface Policies extends Disposable {
  readonly book: Book;
  /** Undefined where types' defaults hold. */
  rules(owner: Address): Promise<readonly Rule[] | undefined>;
  setRules(owner: Address, rules: readonly Rule[]): Promise<void>;
  removeRules(owner: Address): Promise<void>;
  blocks(owner: Address): Promise<readonly BlockShape[]>;
  /** @returns whether it is a new one @throws Refusal `too-many-blocks` */
  block(owner: Address, who: string, mode: BlockMode): Promise<boolean>;
  unblock(owner: Address, who: string): Promise<void>;
  /** @throws Refusal `too-many-answers` */
  answer(owner: Address, watcher: string, answer: Omit<Answer, "position">): Promise<void>;
}

export interface PolicyDeps {
  readonly log: Log;
  readonly heads: Heads;
  readonly follower: Follower;
  readonly members: Pick<Members, "listen">;
  readonly now: () => number;
}

const blocksMax = 10_000;
const answersMax = 10_000;
const roundsMax = 50;

export function openPolicies({ log, heads, follower, members, now }: PolicyDeps): Policies {
  const book = openBook(follower, members);

  /** @param next undefined takes it back; the present fact lets it stand. @returns what stood there before */
  async function put(
    subject: string,
    next: (present: Fact | undefined) => string | Fact | undefined,
  ): Promise<string | undefined> {
    for (let round = 0; round < roundsMax; round++) {
      const fact = await heads.refresh(subject);
      const present = fact?.body === "{}" ? undefined : fact;
      const before = present?.body;
      const body = next(present);
      if (before === undefined && body === undefined) return undefined;
      if (typeof body === "object") {
        await follower.known(body.position);
        return before;
      }
      const expected = fact?.position ?? 0;
      const append = { subject, body: body ?? "{}", expected };
      try {
        const position = await heads.append([
          body === undefined ? { ...append, keepSeconds: tombstoneSeconds } : append,
        ]);
        await onceApplied(follower.known(position));
        return before;
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
      }
    }
    throw new LogUnavailable("others kept deciding the same thing");
  }

  return {
    book,
    async rules(owner) {
      const fact = await log.last(subjectOf(owner, "policy"));
      return fact && rulesOf(fact);
    },
    async setRules(owner, rules) {
      await put(subjectOf(owner, "policy"), () => rulesBody(rules));
    },
    async removeRules(owner) {
      await put(subjectOf(owner, "policy"), () => undefined);
    },
    async blocks(owner) {
      const { facts } = await log.snapshot([factsOfNode(owner, "block")]);
      const found: BlockShape[] = [];
      for (const fact of facts) {
        const block = blockOf(fact);
        if (block)
          found.push({ who: nameOf(fact.subject), mode: block.mode, since: timestamp(block.madeMs) });
      }
      return found.sort((a, b) => (a.who < b.who ? -1 : 1));
    },
    async block(owner, who, mode) {
      const { blocks } = book.of(owner.text);
      if (blocks.size >= blocksMax && !blocks.has(who)) {
        throw new Refusal("too-many-blocks", `You hold ${blocks.size} blocks.`);
      }
      const before = await put(subjectOf(owner, "block", who), (present) => {
        const block = present && blockOf(present);
        if (present === undefined || block === undefined)
          return blockBody({ mode, madeMs: Math.floor(now()) });
        // What is hidden is hidden since it first stood there.
        return block.mode === mode
          ? present
          : blockBody({ ...block, mode, since: block.since ?? present.position });
      });
      return before === undefined;
    },
    async unblock(owner, who) {
      await put(subjectOf(owner, "block", who), () => undefined);
    },
    async answer(owner, watcher, { decision, properties }) {
      const { answers } = book.of(owner.text);
      if (answers.size >= answersMax && !answers.has(watcher)) {
        throw new Refusal("too-many-answers", `You have answered ${answers.size} watchers.`);
      }
      const body = answerBody({ decision, properties, madeMs: Math.floor(now()) });
      await put(subjectOf(owner, "answer", watcher), () => body);
    },
    [Symbol.dispose]: () => book[Symbol.dispose](),
  };
}
