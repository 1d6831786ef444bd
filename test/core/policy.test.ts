// Who may do what: the rule by its vectors, and what holds whatever owners decide.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Block, BlockMode, GroupsOf } from "../../services/core/blocks.ts";
import { matchNames } from "../../services/core/name-pattern.ts";
import {
  type Decision,
  type Decisions,
  type Grantable,
  hasGrown,
  type Inquiry,
  judge,
  noDecisions,
  type Rule,
  unblocked,
  type Verdict,
  type Visibility,
} from "../../services/core/policy.ts";
import { refusalOf } from "../../services/core/verdict.ts";
import given from "../vectors/policy.json" with { type: "json" };

interface Vector {
  readonly why: string;
  readonly who: string | null;
  readonly agent?: string;
  readonly discloses?: readonly string[];
  readonly right?: Grantable;
  readonly name?: string;
  readonly visibility?: Visibility;
  readonly rules?: readonly Rule[];
  readonly blocks?: Readonly<Record<string, BlockMode>>;
  readonly answers?: Readonly<Record<string, { decision: Decision; properties?: readonly string[] }>>;
  readonly contacts?: readonly string[];
  readonly is: Verdict["is"];
  readonly missing?: readonly string[];
  readonly ground: unknown;
}

const grantables: readonly Grantable[] = ["read", "watch", "write", "message"];
const verdicts = given.verdicts as readonly Vector[];
const groupsOf: GroupsOf = (address) =>
  new Map(Object.entries(given.members).filter(([, members]) => members.includes(address)));

function inquiryOf(vector: Vector): Inquiry {
  const { who, agent, discloses = [], right = "watch", name = "travel", visibility = "contacts" } = vector;
  const inquirer = { address: who ?? undefined, agent, disclosed: new Set(discloses) };
  return { owner: given.owner, decisions: decisionsOf(vector), inquirer, right, name, visibility, groupsOf };
}

function decisionsOf({ rules, blocks = {}, answers = {}, contacts }: Vector): Decisions {
  if (!rules && !contacts && Object.keys({ ...blocks, ...answers }).length === 0) return noDecisions;
  const answered = Object.entries(answers).map(
    ([who, { decision, properties }]) => [who, { decision, properties, position: 1 }] as const,
  );
  return {
    ...noDecisions,
    rules,
    blocks: new Map(Object.entries(blocks).map(([who, mode]) => [who, { mode, position: 1 }])),
    answers: new Map(answered),
    contacts: contacts && new Set(contacts),
  };
}

describe("a verdict", () => {
  it.each(verdicts)("$why: $is", (vector) => {
    const { is, missing, ground } = vector;
    expect(judge(inquiryOf(vector))).toEqual({ is, ground, ...(missing && { missing }) });
  });

  it.each(verdicts)("does not change with another block: $why", (vector) => {
    const blocks = {
      ...vector.blocks,
      "mallory@elsewhere.example": "hard",
      "@elsewhere.example": "polite",
    } as const;
    expect(judge(inquiryOf({ ...vector, blocks }))).toEqual(judge(inquiryOf(vector)));
  });
});

const owner = given.owner;
const [bob, dave, carol] = ["bob@example.com", "dave@example.com", "carol@other.example"];
const group = "club@example.com";
const names = ["a", "a.", "a.b", "a.b.c", "ab", "ab.c", "b"];
const patterns = ["*", "a", "a.*", "a.b", "a.b.*", "ab", "ab.*", "b"];
/** Every name that a pattern here can tell apart from the others. */
const universe = [...names, "z", "a.z", "a.b.z", "ab.z"];
const visibilities = ["public", "contacts", "private"] as const;

const some = <T>(from: readonly T[]): fc.Arbitrary<T[]> => fc.subarray([...from], { minLength: 1 });
const anybody = fc.constantFrom(bob, dave, carol, undefined);
const mode = fc.constantFrom<BlockMode>("polite", "hard");

const ruleFor = (who: readonly string[]): fc.Arbitrary<Rule> =>
  fc.record(
    {
      who: some(who),
      properties: some(patterns),
      allow: some(grantables),
      confirm: fc.boolean(),
      reveal: fc.subarray(["contact", "profile"]),
    },
    { requiredKeys: ["who", "properties", "allow"] },
  );
const rule = ruleFor([bob, dave, carol, group, "@example.com", "contacts", "authenticated", "anyone"]);

const answer = fc.record({
  decision: fc.constantFrom<Decision>("allow", "deny", "polite"),
  properties: fc.option(some(patterns), { nil: undefined }),
  position: fc.constant(1),
});
const block: fc.Arbitrary<Block> = fc.record({ mode, position: fc.constant(1) });

const mapOf = <T>(keys: readonly string[], value: fc.Arbitrary<T>): fc.Arbitrary<Map<string, T>> =>
  fc.array(fc.tuple(fc.constantFrom(...keys), value), { maxLength: 2 }).map((entries) => new Map(entries));

const decided: fc.Arbitrary<Decisions> = fc.record({
  rules: fc.option(fc.array(rule, { maxLength: 4 }), { nil: undefined, freq: 4 }),
  blocks: mapOf([bob, carol, group, "@example.com", "anonymous"], block),
  answers: mapOf([bob, dave, carol], answer),
  contacts: fc.option(
    fc.subarray([bob, "@other.example"]).map((all) => new Set(all)),
    { nil: undefined },
  ),
  changed: fc.constant(1),
  lifted: fc.constant(0),
});

const inquiry: fc.Arbitrary<Inquiry> = fc.record({
  owner: fc.constant(owner),
  decisions: decided,
  inquirer: fc.record({
    address: anybody,
    disclosed: fc.subarray(["contact", "profile"]).map((all) => new Set(all)),
  }),
  right: fc.constantFrom(...grantables),
  name: fc.constantFrom(...universe),
  visibility: fc.constantFrom(...visibilities),
  groupsOf: fc.constant(groupsOf),
});

const holds = <T>(arbitrary: fc.Arbitrary<T>, predicate: (one: T) => void): void =>
  fc.assert(fc.property(arbitrary, predicate), { numRuns: 3_000 });
const isGranted = (one: Inquiry): boolean => judge(one).is === "granted";
const whose = ({ inquirer: { address } }: Inquiry): string => address ?? "anonymous";

describe("whatever an owner decides", () => {
  it("the owner sees everything", () => {
    holds(inquiry, (one) => {
      const inquirer = { ...one.inquirer, address: owner };
      const blocks = new Map([[owner, { mode: "hard", position: 1 }] as const, ...one.decisions.blocks]);
      const decisions = { ...one.decisions, blocks };
      expect(judge({ ...one, inquirer, decisions })).toEqual({ is: "granted", ground: { owner: true } });
    });
  });

  it("a block beats every grant", () => {
    holds(fc.tuple(inquiry, mode), ([one, how]) => {
      const blocks = new Map([...one.decisions.blocks, [whose(one), { mode: how, position: 1 }] as const]);
      const { is } = judge({ ...one, decisions: { ...one.decisions, blocks } });
      expect(is).toBe(how === "hard" ? "blocked" : "absent");
    });
  });

  it("a block of whatever somebody belongs to beats every grant", () => {
    holds(fc.tuple(inquiry, block), ([one, how]) => {
      const { address } = one.inquirer;
      const groups = [
        [group, how],
        ["@other.example", how],
        ["@example.com", how],
      ] as const;
      const { is } = judge({ ...one, decisions: { ...one.decisions, blocks: new Map(groups) } });
      if (address !== undefined) expect(is).toBe(how.mode === "hard" ? "blocked" : "absent");
    });
  });

  it("lifting the blocks brings back what held without them, and nothing else", () => {
    holds(inquiry, (one) => {
      const free = judge({ ...one, decisions: { ...one.decisions, blocks: new Map() } });
      expect(unblocked(one)).toEqual(free);
      if (isGranted(one)) expect(judge(one)).toEqual(free);
    });
  });

  it("another rule never takes anything away", () => {
    const order: readonly Verdict["is"][] = ["blocked", "absent", "undisclosed", "pending", "granted"];
    const more = fc.tuple(inquiry, fc.array(rule, { maxLength: 3 }), rule, fc.nat(3));
    holds(more, ([one, rules, added, at]) => {
      const by = (them: readonly Rule[]): number =>
        order.indexOf(judge({ ...one, decisions: { ...one.decisions, rules: them } }).is);
      expect(by(rules.toSpliced(at, 0, added))).toBeGreaterThanOrEqual(by(rules));
    });
  });

  it("rules for one party never grant another", () => {
    holds(fc.tuple(inquiry, fc.array(ruleFor([bob]))), ([one, rules]) => {
      const decisions = { ...one.decisions, rules, answers: new Map() };
      const { is } = judge({ ...one, decisions });
      if (one.inquirer.address !== bob) expect(is).not.toMatch(/granted|pending|undisclosed/);
    });
  });

  it("what a rule does not name it does not grant", () => {
    holds(fc.tuple(inquiry, rule), ([one, only]) => {
      const decisions = { ...noDecisions, rules: [only] };
      // Messages are about no property.
      const isOfName = one.right === "message" || matchNames(only.properties)(one.name);
      const isNamed = only.allow.includes(one.right) && isOfName;
      if (!isNamed) expect(judge({ ...one, decisions })).toEqual({ is: "absent", ground: { rules: "none" } });
    });
  });

  it("politely blocked is told as little as somebody to whom nothing is granted", () => {
    const polite = fc.constantFrom("block", "answer");
    holds(fc.tuple(inquiry, polite), ([one, how]) => {
      const { address } = one.inquirer;
      if (how === "answer" && address === undefined) return;
      const { decisions } = one;
      const blocks = new Map([[whose(one), { mode: "polite", position: 1 } as const]]);
      const answers = new Map([
        [whose(one), { decision: "polite", properties: ["*"], position: 1 } as const],
      ]);
      const hidden =
        how === "block"
          ? { ...decisions, blocks }
          : { ...decisions, blocks: new Map<string, Block>(), answers };
      const nothing = judge({ ...one, decisions: { ...noDecisions, rules: [] } });
      const verdict = judge({ ...one, decisions: hidden });
      expect({ ...verdict, ground: undefined }).toEqual({ ...nothing, ground: undefined });
      expect(refusalOf(verdict)).toBeUndefined();
      expect(refusalOf(nothing)).toBeUndefined();
    });
  });
});

describe("patterns", () => {
  it("a rule selects the names that matchNames selects", () => {
    holds(fc.tuple(fc.constantFrom(...universe), some(patterns)), ([name, properties]) => {
      const rules = [{ who: ["anyone"], properties, allow: ["watch"] as const }];
      const vector = { why: "", who: bob, name, rules, is: "granted", ground: {} } as const;
      expect(isGranted(inquiryOf(vector))).toBe(matchNames(properties)(name));
    });
  });

  it("anything of a pattern is granted where one of its names is", () => {
    holds(fc.tuple(inquiry, fc.constantFrom(...patterns)), ([one, pattern]) => {
      const selected = universe.filter(matchNames([pattern]));
      const ofNames = selected.some((name) => isGranted({ ...one, name }));
      expect(isGranted({ ...one, name: pattern })).toBe(ofNames);
    });
  });
});

describe("what a party may watch has grown", () => {
  const turn = fc.tuple(inquiry, decided).map(([one, after]) => {
    const shared = { ...one, right: "watch" as const };
    return { before: shared, after: { ...shared, decisions: after } };
  });
  /** Names of some visibility that are granted after and were not before. */
  const gained = ({ before, after }: { before: Inquiry; after: Inquiry }): string[] =>
    universe.filter((name) =>
      visibilities.some(
        (visibility) =>
          isGranted({ ...after, name, visibility }) && !isGranted({ ...before, name, visibility }),
      ),
    );

  it("whenever a name is granted in addition", () => {
    holds(turn, (both) => {
      if (gained(both).length > 0) expect(hasGrown(both.before, both.after)).toBe(true);
    });
  });

  it("never when there is no such name, as long as it is rules that grant", () => {
    holds(turn, (both) => {
      const byRules = both.before.decisions.rules && both.after.decisions.rules;
      if (byRules && gained(both).length === 0) expect(hasGrown(both.before, both.after)).toBe(false);
    });
  });

  it("never by the types' defaults unless somebody became a contact", () => {
    holds(turn, ({ before, after }) => {
      const bare = { rules: undefined, answers: new Map() };
      const [from, to] = [before, after].map((one) => ({ ...one, decisions: { ...one.decisions, ...bare } }));
      const both = { before: from as Inquiry, after: to as Inquiry };
      expect(hasGrown(both.before, both.after)).toBe(gained(both).length > 0);
    });
  });
});
