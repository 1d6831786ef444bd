// Access: the one question that every exit asks: of the token, and of what the owner has decided.
// In: who looks, at whose property. Out: yes or no, or why. Never: an answer that is kept; each is of the moment in which it is asked.
import { type Address, rootOf } from "../core/address.ts";
import { blockOf, hiddenSince, type Party } from "../core/blocks.ts";
import type { Json } from "../core/json.ts";
import {
  changedFor,
  type Decisions,
  type Grantable,
  hasGrown,
  type Inquirer,
  type Inquiry,
  judge,
  noDecisions,
  unblocked,
  type Verdict,
  visibilityOfUnknown,
} from "../core/policy.ts";
import { allows, type Caller, type Principal } from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import type { Soon } from "../core/soon.ts";
import { refusalOf } from "../core/verdict.ts";
import type { Members } from "../groups/groups.ts";
import type { Book } from "../policy/policies.ts";
import type { Visibilities } from "./visibilities.ts";

/** Somebody who looks, and what it tells of itself. */
export interface Look {
  readonly caller: Caller;
  /** How: rest, poll, sse, websocket. */
  readonly via: string;
  /** Values of its own properties that it discloses to whoever asks for them, by name. */
  readonly disclosed: ReadonlyMap<string, Json>;
}

/** Says whether somebody may be told: asked when it is delivered. */
export type Audience = (look: Look) => boolean;

export interface Access {
  /**
   * What the owner has decided about a name, or about anything that a pattern selects.
   * @param decisions those that hold now, if absent
   */
  judge(look: Look, owner: Address, name: string, right: Grantable, decisions?: Decisions): Verdict;
  /** By the token as well. */
  may(look: Look, owner: Address, name: string, right: "read" | "watch"): boolean;
  /** Who may be told of a property of this name; without a name, of the node. */
  audience(owner: Address, name: string): Audience;
  /** @throws Refusal where the caller learns more than absence: `blocked`, `reveal-required` */
  requireOpen(look: Look, owner: Address, names: readonly string[], right: "read" | "watch"): void;
  /** The same answer whether the node exists or not. @throws Refusal `forbidden` */
  requireWrite(who: Principal, owner: Address, name: string): void;
  mayWrite(who: Principal, owner: Address, name: string): boolean;
  /** Whether an account has shut another one out, or an agent, politely or not. */
  blocks(account: string, who: string): boolean;
  /** Since when a block hides what would be granted; undefined when none does. */
  hiddenSince(look: Look, owner: Address, name: string): number | undefined;
  /** Whether the owner decided anew after a position: what the party sees may have become less, or more. */
  hasChanged(look: Look, owner: Address, since: number): boolean;
  /** Whether a block was lifted after a position. */
  hasLifted(owner: Address, since: number): boolean;
  /** Whether somebody may know who belongs to a group: its members may, and whom its owner lets read `members`. */
  maySeeMembers(look: Look, group: Address, right: "read" | "watch"): boolean;
  /** Whether the party may watch more by these decisions than by those before. */
  hasGrown(look: Look, owner: string, before: Decisions, after: Decisions): boolean;
}

/** Names of a node that somebody reads. */
export interface Seen {
  readonly node: Address;
  readonly names: readonly string[];
}

/** Whoever is told of each look before the looker is answered. */
export interface Witness {
  fetched(look: Look, node: Address, names: readonly string[]): Soon<void>;
  /** The same for many nodes, which costs little more than for one. */
  fetchedAll(look: Look, seen: readonly Seen[]): Promise<void>;
  denied(look: Look, node: Address, names: readonly string[]): void;
}

export const nothingDisclosed: ReadonlyMap<string, Json> = new Map();

/** What a policy names to let others know who belongs to a group. */
const memberList = "members";

export function openAccess(
  book: Book,
  visibilities: Pick<Visibilities, "of" | "changed">,
  members: Pick<Members, "has" | "groupsOf">,
): Access {
  const { groupsOf } = members;

  function inquiryOf(look: Look, owner: Address, name: string, right: Grantable, given?: Decisions): Inquiry {
    const account = rootOf(owner).text;
    const visibility = name === "" ? visibilityOfUnknown : visibilities.of(owner, name);
    const inquirer = inquirerOf(look);
    return {
      owner: account,
      decisions: given ?? book.of(account),
      inquirer,
      right,
      name: name || "*",
      visibility,
      groupsOf,
    };
  }

  const ask: Access["judge"] = (look, owner, name, right, decisions) =>
    judge(inquiryOf(look, owner, name, right, decisions));

  function isGranted(look: Look, owner: Address, name: string, right: Grantable): boolean {
    return ask(look, owner, name, right).is === "granted";
  }

  function mayWrite(who: Principal, owner: Address, name: string): boolean {
    return isGranted({ caller: who, via: "", disclosed: nothingDisclosed }, owner, name, "write");
  }

  return {
    judge: ask,
    may: (look, owner, name, right) =>
      reaches(look.caller, name, right) && isGranted(look, owner, name, right),
    audience(owner, name) {
      const account = rootOf(owner).text;
      const visibility = name === "" ? visibilityOfUnknown : visibilities.of(owner, name);
      return (look) => {
        const { caller } = look;
        if (!reaches(caller, name, "watch")) return false;
        const decisions = book.of(account);
        // Told to thousands: most owners have decided nothing.
        if (decisions === noDecisions && visibility !== "private") {
          return visibility === "public" || caller !== undefined;
        }
        const inquirer = inquirerOf(look);
        const asked = { owner: account, decisions, inquirer, right: "watch", visibility, groupsOf } as const;
        return judge({ ...asked, name: name || "*" }).is === "granted";
      };
    },
    requireOpen(look, owner, names, right) {
      let first: Refusal | undefined;
      for (const name of names) {
        const verdict = ask(look, owner, name, right);
        if (verdict.is === "granted") return;
        first ??= refusalOf(verdict);
      }
      if (first) throw first;
    },
    requireWrite(who, owner, name) {
      const verdict = ask({ caller: who, via: "", disclosed: nothingDisclosed }, owner, name, "write");
      if (verdict.is === "granted") return;
      if (verdict.is === "blocked") throw refusalOf(verdict);
      throw new Refusal("forbidden", "Only the owner of a node writes to it, and whom the owner lets.");
    },
    mayWrite,
    blocks(account, who) {
      const [owner, party] = [rootOfText(account), rootOfText(who)];
      const decisions = book.of(owner);
      if (decisions === noDecisions || party === owner) return false;
      const isPolite = (one: string): boolean => decisions.answers.get(one)?.decision === "polite";
      if (isPolite(who) || isPolite(party)) return true;
      return blockOf(decisions.blocks, { address: party, agent: who }, groupsOf) !== undefined;
    },
    hiddenSince(look, owner, name) {
      const inquiry = inquiryOf(look, owner, name, "watch");
      const since = hiddenSince(inquiry.decisions.blocks, inquiry.inquirer, groupsOf);
      return since !== undefined && unblocked(inquiry).is === "granted" ? since : undefined;
    },
    hasChanged({ caller }, owner, since) {
      const decided = changedFor(book.of(rootOf(owner).text), partyOf(caller));
      return Math.max(decided, visibilities.changed(owner)) > since;
    },
    hasLifted: (owner, since) => book.of(rootOf(owner).text).lifted > since,
    maySeeMembers(look, group, right) {
      const { caller } = look;
      const verdict = ask(look, group, memberList, right);
      if (verdict.is === "granted") return reaches(caller, memberList, right);
      const isShutOut = verdict.is === "blocked" || "block" in verdict.ground;
      return !isShutOut && caller !== undefined && members.has(group.text, caller.address.text);
    },
    hasGrown(look, owner, before, after) {
      const asked = { owner, inquirer: inquirerOf(look), right: "watch", name: "*", groupsOf } as const;
      const shared = { ...asked, visibility: visibilityOfUnknown };
      return hasGrown({ ...shared, decisions: before }, { ...shared, decisions: after });
    },
  };
}

function inquirerOf({ caller, disclosed }: Look): Inquirer {
  return { ...partyOf(caller), disclosed };
}

function partyOf(caller: Caller): Party {
  return { address: caller?.address.text, agent: caller?.agent?.text };
}

/** The account of whoever has this address. */
function rootOfText(text: string): string {
  const end = text.indexOf("/");
  return end < 0 ? text : text.slice(0, end);
}

/** Whether the caller's token reaches this name; without a name, anything at all. */
function reaches(caller: Caller, name: string, right: "read" | "watch"): boolean {
  if (caller === undefined) return true;
  return allows(caller.scopes, right, name === "" ? undefined : name);
}
