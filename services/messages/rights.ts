// Rights: who may send to whom, and who may be told of a message now.
// In: senders, recipients, what both have decided. Out: taken or dropped, yes or no. Never: a difference that a sender could see between nobody, nothing granted and a polite block.
import { type Address, parseAddress, rootOf } from "../core/address.ts";
import type { Json } from "../core/json.ts";
import { actorOf, type Principal, rights } from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import { refusalOf } from "../core/verdict.ts";
import type { Members } from "../groups/groups.ts";
import type { Access, Audience, Look } from "../property/properties.ts";
import type { Letter } from "./boxes.ts";

export interface Rights {
  /** Dropped: it looks as if it were taken. @throws Refusal `blocked`, `reveal-required`, `forbidden` */
  admit(who: Principal, disclosed: ReadonlyMap<string, Json>, to: Address): "taken" | "dropped";
  /** Whether an account may be told of a message to its own node, or to a group that it belongs to. */
  mayTell(letter: Letter, account: string): boolean;
  /** Who may be told of a message to those who watch a property. */
  audience(letter: Letter, property: string): Audience;
  /** The same of somebody who may see the property. */
  isOpenTo(letter: Letter, account: string | undefined): boolean;
  /** Whether a recipient lets a sender know that it has its message. */
  mayConfirm(account: Address, sender: string): boolean;
}

export interface RightsDeps {
  readonly access: Pick<Access, "judge" | "blocks" | "may" | "audience">;
  readonly members: Pick<Members, "has" | "groupsOf">;
  readonly isGroup: (node: string) => boolean;
  readonly now: () => number;
}

export function openRights({ access, members, isGroup, now }: RightsDeps): Rights {
  /** Neither has shut the other one out. */
  function areOpen(one: string, other: string): boolean {
    return !access.blocks(one, other) && !access.blocks(other, one);
  }

  function isGood({ isDropped, expiresMs, box, id }: Letter): boolean {
    // What was acknowledged, or lies under a node that is gone, waits no more.
    return !isDropped && expiresMs > now() && box.letters.has(id);
  }

  function isOfMember({ box, from, position }: Letter, account: string): boolean {
    const group = box.address.text;
    if (from === account) return false;
    const joined = account === group ? 0 : members.groupsOf(account).get(group);
    if (joined === undefined || position <= joined) return false;
    // The group's owner speaks there for itself, and may have shut out a member.
    return areOpen(account, from) && areOpen(account, rootOf(box.address).text);
  }

  function isGranted({ from, revealed, box }: Letter): boolean {
    const look = lookOf(from, revealed);
    return access.judge(look, box.address, "", "message").is === "granted";
  }

  function isOpenTo(letter: Letter, account: string | undefined): boolean {
    if (!isGood(letter) || !isGranted(letter)) return false;
    if (account === undefined) return true;
    const owner = rootOf(letter.box.address).text;
    return account !== letter.from && areOpen(account, letter.from) && !access.blocks(owner, account);
  }

  return {
    admit(who, disclosed, to) {
      const sender = actorOf(who).text;
      const owner = rootOf(to).text;
      if (access.blocks(sender, owner)) {
        throw new Refusal("forbidden", "You have blocked this party: nothing of yours reaches it.");
      }
      const look = { caller: { ...who, scopes: rights }, via: "", disclosed };
      const verdict = access.judge(look, to, "", "message");
      if (verdict.is === "granted") return "taken";
      if (!access.blocks(owner, sender) && members.has(to.text, who.address.text)) return "taken";
      const refusal = refusalOf(verdict);
      if (refusal) throw refusal;
      return "dropped";
    },
    mayTell(letter, account) {
      if (!isGood(letter)) return false;
      const { address } = letter.box;
      if (isGroup(address.text)) return isOfMember(letter, account);
      if (rootOf(address).text !== account || !isGranted(letter)) return false;
      return letter.from === account || !access.blocks(letter.from, account);
    },
    audience(letter, property) {
      const mayWatch = access.audience(letter.box.address, property);
      return (look) => mayWatch(look) && isOpenTo(letter, look.caller?.address.text);
    },
    isOpenTo,
    mayConfirm(account, sender) {
      if (account.text === sender || access.blocks(sender, account.text)) return false;
      return access.may(lookOf(sender, []), account, "receipts", "read");
    },
  };
}

/** The sender by itself, without the token that it came with. */
function lookOf(sender: string, revealed: readonly string[]): Look {
  const actor = parseAddress(sender);
  const caller: Principal = {
    address: rootOf(actor),
    agent: actor.path.length === 0 ? undefined : actor,
    kind: "person",
    scopes: rights,
    tokenId: "",
  };
  return { caller, via: "message", disclosed: new Map(revealed.map((name) => [name, null])) };
}
