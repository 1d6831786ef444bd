// Policy: the one rule for who may do what with whose properties.
// In: an owner's decisions, who asks, for what. Out: a verdict and its ground. Never: I/O, a clock, a second rule elsewhere.
//
// Rules only grant; a block beats every grant; without rules each type's own default holds. What a politely blocked
// party may be shown is exactly what somebody is shown to whom nothing is granted: the verdict `absent`.
import { type Blocks, blockOf, domainOf, type GroupsOf, type Party } from "./blocks.ts";
import type { ByName } from "./versioned-map.ts";

export type Visibility = "public" | "contacts" | "private";

/** The visibility of a property that no type describes. */
export const visibilityOfUnknown: Visibility = "contacts";

export type Grantable = "read" | "watch" | "write" | "message";

export interface Rule {
  /** Addresses of accounts or groups, `@domain`, `contacts`, `authenticated`, `anyone`. */
  readonly who: readonly string[];
  /** Patterns over property names. */
  readonly properties: readonly string[];
  readonly allow: readonly Grantable[];
  /** Grants nothing until the owner has allowed the party. */
  readonly confirm?: boolean;
  /** Properties of its own that the party must disclose. */
  readonly reveal?: readonly string[];
}

export type Decision = "allow" | "deny" | "polite";

/** What the owner has answered to one party. */
export interface Answer {
  readonly decision: Decision;
  /** Patterns that `allow` grants by itself, and no more of what rules with `confirm` grant; undefined: all of that. */
  readonly properties: readonly string[] | undefined;
  readonly position: number;
}

/** Everything that one owner has decided about others, as of a position in the log. */
export interface Decisions {
  /** Undefined: no policy, so that each type's default holds. */
  readonly rules: readonly Rule[] | undefined;
  readonly blocks: Blocks;
  /** By the party's address. */
  readonly answers: ByName<Answer>;
  /** Undefined: the owner keeps no roster, and every account counts as a contact. */
  readonly contacts: ReadonlySet<string> | undefined;
  /** Where the rules or the roster last changed. */
  readonly changed: number;
  /** Where a block was last lifted. */
  readonly lifted: number;
}

export const noDecisions: Decisions = {
  rules: undefined,
  blocks: new Map(),
  answers: new Map(),
  contacts: undefined,
  changed: 0,
  lifted: 0,
};

/** Who asks. */
export interface Inquirer extends Party {
  /** Names of its own properties that it discloses to the owner. */
  readonly disclosed: { has(name: string): boolean };
}

export interface Inquiry {
  /** The account that the node lies under. */
  readonly owner: string;
  readonly decisions: Decisions;
  readonly inquirer: Inquirer;
  readonly right: Grantable;
  /** The property, or a pattern: then anything that it selects. Messages are about none, and every name grants them. */
  readonly name: string;
  /** The default of the property's type. */
  readonly visibility: Visibility;
  readonly groupsOf: GroupsOf;
}

/** What a verdict rests on. */
export type Ground =
  | { readonly owner: true }
  | { readonly block: string }
  | { readonly answer: Decision }
  /** The index of the rule. */
  | { readonly rule: number }
  | { readonly visibility: Visibility }
  | { readonly rules: "none" };

export type Verdict = { readonly ground: Ground } & (
  | { readonly is: "granted" }
  /** Nothing is granted, or a polite block hides it: whoever asks must not tell which. */
  | { readonly is: "absent" }
  /** A hard block. */
  | { readonly is: "blocked" }
  /** A rule grants it once the owner allows the party. */
  | { readonly is: "pending" }
  /** A rule grants it to whoever discloses these as well. */
  | { readonly is: "undisclosed"; readonly missing: readonly string[] }
);

const everything: readonly string[] = ["*"];
const nothing: readonly string[] = [];

const ofOwner: Verdict = { is: "granted", ground: { owner: true } };
const byNoRule: Verdict = { is: "absent", ground: { rules: "none" } };
const granting: Record<Visibility, Verdict> = {
  public: { is: "granted", ground: { visibility: "public" } },
  contacts: { is: "granted", ground: { visibility: "contacts" } },
  private: { is: "granted", ground: { visibility: "private" } },
};
const hiding: Record<Visibility, Verdict> = {
  public: { is: "absent", ground: { visibility: "public" } },
  contacts: { is: "absent", ground: { visibility: "contacts" } },
  private: { is: "absent", ground: { visibility: "private" } },
};

/** Asked at delivery by every exit: reads, snapshots, streams, writes of others. */
export function judge(inquiry: Inquiry): Verdict {
  const { owner, decisions, inquirer, groupsOf } = inquiry;
  if (inquirer.address === owner) return ofOwner;
  if (decisions === noDecisions) return byDefault(inquiry);
  const blocked = blockOf(decisions.blocks, inquirer, groupsOf);
  if (blocked) {
    const [who, { mode }] = blocked;
    return { is: mode === "hard" ? "blocked" : "absent", ground: { block: who } };
  }
  return unblocked(inquiry);
}

/** What would hold without any block. */
export function unblocked(inquiry: Inquiry): Verdict {
  const { decisions, inquirer } = inquiry;
  const answer = answerTo(decisions, inquirer);
  if (answer?.decision === "polite") return { is: "absent", ground: { answer: "polite" } };
  const allowed = answer?.decision === "allow" ? (answer.properties ?? everything) : nothing;
  const isRead = inquiry.right === "read" || inquiry.right === "watch";
  if (isRead && allowed !== everything && overlap(allowed, inquiry.name)) {
    return { is: "granted", ground: { answer: "allow" } };
  }
  if (decisions.rules === undefined) return byDefault(inquiry);
  return byRules(inquiry, decisions.rules, allowed);
}

/** Where something last changed that decides what this party sees of the owner, blocks aside. */
export function changedFor({ changed, answers }: Decisions, { address = "", agent = "" }: Party): number {
  return Math.max(changed, answers.get(address)?.position ?? 0, answers.get(agent)?.position ?? 0);
}

function answerTo({ answers }: Decisions, { address = "", agent = "" }: Party): Answer | undefined {
  return answers.get(agent) ?? answers.get(address);
}

/** Whether what a party may watch of an owner has grown from one set of decisions to another. */
export function hasGrown(before: Inquiry, after: Inquiry): boolean {
  const known = grantsOf(before);
  return grantsOf(after).some((grant) => !known.some((one) => covers(one, grant)));
}

/** Patterns that are granted; types' defaults stand as one word that no pattern covers. */
function grantsOf(inquiry: Inquiry): readonly string[] {
  const { decisions, inquirer, groupsOf } = inquiry;
  if (inquirer.address === inquiry.owner) return ["*"];
  if (blockOf(decisions.blocks, inquirer, groupsOf)) return [];
  const answer = answerTo(decisions, inquirer);
  if (answer?.decision === "polite") return [];
  const grants = answer?.decision === "allow" && answer.properties ? [...answer.properties] : [];
  if (decisions.rules === undefined) {
    return [...grants, ...(isContact(decisions, inquirer.address) ? ["=public", "=contacts"] : ["=public"])];
  }
  // What was allowed by name is among the grants.
  const isAllowed = answer?.decision === "allow" && answer.properties === undefined;
  for (const rule of decisions.rules) {
    const alone = byRules({ ...inquiry, name: "*" }, [rule], isAllowed ? everything : nothing);
    if (alone.is === "granted") grants.push(...rule.properties);
  }
  return grants;
}

/** Whether one of these patterns shares a name with another: `profile.*` and `profile.name` do. */
function overlap(patterns: readonly string[], other: string): boolean {
  return patterns.some((one) => covers(one, other) || covers(other, one));
}

/** Whether a pattern selects whatever the other one does. */
function covers(pattern: string, other: string): boolean {
  if (pattern === other || (pattern === "*" && !other.startsWith("="))) return true;
  return pattern.endsWith(".*") && other.startsWith(pattern.slice(0, -1));
}

function byDefault({ decisions, inquirer, right, visibility }: Inquiry): Verdict {
  if (right === "write") return hiding.private;
  if (right === "message") return (isContact(decisions, inquirer.address) ? granting : hiding).contacts;
  const isOpen =
    visibility === "public" || (visibility === "contacts" && isContact(decisions, inquirer.address));
  return (isOpen ? granting : hiding)[visibility];
}

/** @param allowed patterns of what the owner has allowed the party of what waits for that */
function byRules(inquiry: Inquiry, rules: readonly Rule[], allowed: readonly string[]): Verdict {
  const { right, name, inquirer } = inquiry;
  let pending: Verdict | undefined;
  let undisclosed: Verdict | undefined;
  for (const [index, rule] of rules.entries()) {
    if (!rule.allow.includes(right)) continue;
    if (right !== "message" && !overlap(rule.properties, name)) continue;
    if (!rule.who.some((who) => isMeant(who, inquiry))) continue;
    const ground = { rule: index };
    const missing = rule.reveal?.filter((one) => !inquirer.disclosed.has(one)) ?? [];
    if (missing.length > 0) undisclosed ??= { is: "undisclosed", missing, ground };
    else if (rule.confirm && !isConfirmed(inquiry, rule, allowed)) pending ??= { is: "pending", ground };
    else return { is: "granted", ground };
  }
  return pending ?? undisclosed ?? byNoRule;
}

/** Whoever is allowed some properties is allowed no others; messages are about none. */
function isConfirmed({ right, name }: Inquiry, { properties }: Rule, allowed: readonly string[]): boolean {
  if (right === "message") return allowed.length > 0;
  const asked = allowed.flatMap((one) => (covers(one, name) ? [name] : covers(name, one) ? [one] : []));
  return asked.some((one) => overlap(properties, one));
}

function isMeant(who: string, { decisions, inquirer, groupsOf }: Inquiry): boolean {
  const { address, agent } = inquirer;
  if (who === "anyone") return true;
  if (address === undefined) return false;
  if (who === "authenticated" || who === address || who === agent) return true;
  if (who === "contacts") return isContact(decisions, address);
  return who.startsWith("@") ? who === domainOf(address) : groupsOf(address).has(who);
}

function isContact({ contacts }: Decisions, address: string | undefined): boolean {
  if (address === undefined) return false;
  return contacts === undefined || contacts.has(address) || contacts.has(domainOf(address));
}
