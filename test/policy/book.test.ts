// The book: thousands of decisions of one owner cost what they are, one by one; and each turn says what held before and after it.
import { describe, expect, it } from "vitest";
import { parseAddress } from "../../services/core/address.ts";
import type { Rule } from "../../services/core/policy.ts";
import type { MemberTurn } from "../../services/groups/groups.ts";
import { openBook, type Turn } from "../../services/policy/book.ts";
import { answerBody, blockBody, rulesBody } from "../../services/policy/policy-facts.ts";
import { openAccess } from "../../services/property/access.ts";
import { nothingDisclosed } from "../../services/property/properties.ts";
import type { Listener } from "../../services/store/follower.ts";
import { type FactKind, subjectOf } from "../../services/store/subjects.ts";

const alice = parseAddress("alice@example.com");
const bob = parseAddress("bob@example.com");
const club = "alice@example.com/club";
const many = 10_000;

function channel<T>() {
  const all = new Set<T>();
  const listen = (one: T): Disposable => {
    all.add(one);
    return { [Symbol.dispose]: () => void all.delete(one) };
  };
  return { all, listen };
}

/** A book that the test feeds, fact by fact. */
function aBook() {
  const facts = channel<Listener>();
  const moves = channel<(turn: MemberTurn) => void>();
  const book = openBook(facts, moves);
  let position = 0;
  function takes(kind: FactKind, name: string, body: string): void {
    const at = ++position;
    const fact = { subject: subjectOf(alice, kind, name), position: at, groupEnd: at, timeMs: 0, body };
    for (const listener of facts.all) listener.take(fact);
  }
  return {
    book,
    blocks: (who: string) => takes("block", who, blockBody({ mode: "polite", madeMs: 0 })),
    unblocks: (who: string) => takes("block", who, "{}"),
    answers: (who: string) =>
      takes("answer", who, answerBody({ decision: "allow", properties: ["travel"], madeMs: 0 })),
    rules: (...who: string[]) =>
      takes(
        "policy",
        "",
        rulesBody(who.map((one): Rule => ({ who: [one], properties: ["*"], allow: ["read"] }))),
      ),
    joins(group: string): void {
      const turn = { group, member: bob.text, standing: "member", before: "gone" } as const;
      for (const listener of moves.all) listener({ ...turn, position: ++position, timeMs: 0 });
    },
  };
}

/** Somebody's groups, and how often one of them was looked at. */
class Counted extends Map<string, number> {
  looks = 0;
  override get(group: string): number | undefined {
    this.looks++;
    return super.get(group);
  }
  override has(group: string): boolean {
    this.looks++;
    return super.has(group);
  }
  override *[Symbol.iterator](): MapIterator<[string, number]> {
    for (const one of super[Symbol.iterator]()) {
      this.looks++;
      yield one;
    }
  }
}

const nameOf = (index: number): string => `n${index}@example.org`;

describe("thousands of decisions of one owner", () => {
  it.each(["blocks", "answers"] as const)("are taken in as fast one by one as few are: %s", (kind) => {
    const [fewMs, manyMs] = [many / 5, many].map((count) => {
      const rounds = Array.from({ length: 3 }, () => {
        const fed = aBook();
        const startedMs = performance.now();
        for (let n = 0; n < count; n++) fed[kind](nameOf(n));
        return performance.now() - startedMs;
      });
      return Math.min(...rounds);
    }) as [number, number];
    // Five times as many; were each to cost as much as there are, it would be twenty-five times as long.
    expect(manyMs / fewMs).toBeLessThan(15);
  });

  it.each([
    ["blocks", many, 3],
    ["groups of whoever asks", 3, many],
  ])("are not gone through for whoever asks: many %s", (_, blocked, joined) => {
    const fed = aBook();
    for (let n = 0; n < blocked; n++) fed.blocks(nameOf(n));
    const groups = new Counted(Array.from({ length: joined }, (_, n) => [nameOf(many + n), n]));
    const has = (group: string): boolean => groups.has(group);
    const members = { has, groupsOf: () => groups };
    const access = openAccess(fed.book, { of: () => "public", changed: () => 0 }, members);
    const caller = { address: bob, kind: "person", scopes: ["watch"], tokenId: "" } as const;
    const look = { caller, via: "", disclosed: nothingDisclosed };
    expect(access.judge(look, alice, "travel", "watch").is).toBe("granted");
    expect(access.hiddenSince(look, alice, "travel")).toBeUndefined();
    expect(groups.looks).toBeLessThan(20);
    fed.blocks(nameOf(many + 1));
    expect(access.judge(look, alice, "travel", "watch").is).toBe("absent");
    expect(access.hiddenSince(look, alice, "travel")).toBe(blocked + 1);
    expect(groups.looks).toBeLessThan(40);
  });
});

describe("a turn", () => {
  it("says what held before it and after, also when others have followed", () => {
    const fed = aBook();
    const turns: Turn[] = [];
    fed.book.listen((turn) => turns.push(turn));
    fed.blocks("a@example.org");
    fed.blocks("b@example.org");
    fed.unblocks("a@example.org");
    fed.answers("a@example.org");
    const said = turns.map(({ before, after }) =>
      [before, after].map(
        ({ blocks, answers }) => `${[...blocks].map(([who]) => who[0]).sort()} ${answers.size}`,
      ),
    );
    expect(said).toEqual([
      [" 0", "a 0"],
      ["a 0", "a,b 0"],
      ["a,b 0", "b 0"],
      ["b 0", "b 1"],
    ]);
    expect(turns.map(({ before, after }) => before.blocks === after.blocks)).toEqual([
      false,
      false,
      false,
      true,
    ]);
  });

  it("comes when somebody joins a group, for as long as a rule or a block names it", () => {
    const fed = aBook();
    let told = 0;
    const turnsOf = (act: () => void): number => {
      act();
      const before = told;
      fed.joins(club);
      return told - before;
    };
    fed.book.listen(({ member }) => void (member && told++));
    expect(turnsOf(() => undefined)).toBe(0);
    expect(turnsOf(() => fed.blocks(club))).toBe(1);
    expect(turnsOf(() => fed.rules(club, "@example.com"))).toBe(1);
    expect(turnsOf(() => fed.unblocks(club))).toBe(1);
    expect(turnsOf(() => fed.rules("anyone", bob.text))).toBe(0);
    expect(turnsOf(() => fed.rules(bob.text, club, club))).toBe(1);
    expect(turnsOf(() => fed.blocks(club))).toBe(1);
    expect(turnsOf(() => fed.rules())).toBe(1);
    expect(turnsOf(() => fed.unblocks(club))).toBe(0);
  });
});
