// Membership: who lets whom into a group, and out of it.
// In: wishes of owners, of members, and of such as want to be. Out: member facts under the group's node. Never: a difference between a group that is hidden and one that is not there.
import { type Address, parseAddress, rootOf } from "../core/address.ts";
import { timestamp } from "../core/event.ts";
import { type Joining, tombstoneSeconds } from "../core/fact.ts";
import { type Principal, requireScope } from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import type { Soon } from "../core/soon.ts";
import { nodeOf } from "../store/decoded.ts";
import type { Follower } from "../store/follower.ts";
import type { Heads } from "../store/heads.ts";
import { Conflict, type Log, LogUnavailable, onceApplied } from "../store/log.ts";
import { factsOfNode, nameOf, subjectOf } from "../store/subjects.ts";
import { leftBody, type Membership, membershipBody, membershipOf } from "./member-facts.ts";
import type { Members } from "./members.ts";

export interface MemberShape {
  readonly member: string;
  /** `pending`: it asks to be let in; the owner and whoever asks alone are told. */
  readonly state: "member" | "pending";
  readonly since: string;
}

export interface GroupShape {
  readonly group: string;
  readonly joining: Joining;
  readonly members: readonly MemberShape[];
}

export interface Groups {
  readonly members: Members;
  /** The owner lets in whom it likes; others let in themselves, or ask. @throws Refusal `not-found`, `forbidden`, `blocked`, `too-many-members` */
  join(who: Principal, group: Address, member: Address): Promise<MemberShape & { created: boolean }>;
  /** By the owner, or by whoever leaves; also where it is no member. @throws Refusal `not-found`, `forbidden`, `blocked` */
  leave(who: Principal, group: Address, member: Address): Promise<void>;
  /** @throws Refusal `not-found`, `blocked` */
  list(who: Principal, group: Address): Promise<GroupShape>;
  /** What an account belongs to, or has asked to. */
  of(who: Principal): Promise<readonly (Omit<MemberShape, "member"> & { readonly group: string })[]>;
  /** The end of all that an account is a member of. */
  leaveAll(account: Address): Promise<void>;
}

export interface GroupDeps {
  readonly log: Log;
  readonly heads: Heads;
  readonly follower: Follower;
  readonly members: Members;
  readonly now: () => number;
  /** Whether somebody may know who belongs to a group, by what is known now. */
  readonly maySee: (who: Principal, group: Address) => boolean;
  /** @throws Refusal where the caller learns more than absence: `blocked`, `reveal-required` */
  readonly requireOpen: (who: Principal, group: Address) => void;
  /** Resolves when the owner can hear of it. */
  readonly looked: (who: Principal, group: Address) => Soon<void>;
}

const membersMax = 20_000;
const roundsMax = 50;
const usually: Joining = "invitation";

export function openGroups(deps: GroupDeps): Groups {
  const { log, heads, follower, members, now, maySee, requireOpen, looked } = deps;

  /** @param next undefined where nothing is to be changed. @returns how it stood before, and stands now */
  async function put(
    group: Address,
    member: string,
    next: (before: Membership | undefined) => Membership | "gone" | undefined,
  ): Promise<{ before: Membership | undefined; after: Membership | undefined }> {
    const subject = subjectOf(group, "member", member);
    for (let round = 0; round < roundsMax; round++) {
      const fact = await heads.refresh(subject);
      const before = fact && membershipOf(fact);
      const after = next(before);
      if (after === undefined) return { before, after: before };
      const expected = fact?.position ?? 0;
      const append =
        after === "gone"
          ? { subject, body: leftBody, expected, keepSeconds: tombstoneSeconds }
          : { subject, body: membershipBody(after), expected };
      try {
        const position = await heads.append([append]);
        await onceApplied(follower.known(position));
        return { before, after: after === "gone" ? undefined : after };
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
      }
    }
    throw new LogUnavailable("others kept changing the same membership");
  }

  /** How others join it. @throws Refusal `not-found` where there is no such group, or none that may be seen */
  async function joiningOf(who: Principal, group: Address): Promise<Joining> {
    const fact = await heads.refresh(subjectOf(group, "node"));
    const node = fact && nodeOf(fact);
    // Another broker may have let it in, or have been told of a grant, a moment ago.
    if (!maySee(who, group)) await follower.caughtUp();
    if (node?.nodeKind === "group" && maySee(who, group)) return node.joining ?? usually;
    requireOpen(who, group);
    throw new Refusal("not-found", "There is no such group, or none that you may see.");
  }

  return {
    members,
    async join(who, group, member) {
      requireScope(who, "write");
      const joining = await joiningOf(who, group);
      const isOwner = owns(who, group);
      if (!isOwner && member.text !== who.address.text)
        throw new Refusal("forbidden", "The owner of a group puts others into it; you can put in yourself.");
      if (!isOwner && joining === "invitation" && !members.has(group.text, member.text))
        throw new Refusal("forbidden", "Its owner alone puts members into this group.");
      if (members.of(group.text).size >= membersMax && !members.has(group.text, member.text))
        throw new Refusal("too-many-members", `The group has ${membersMax} members.`);
      const standing = isOwner || joining === "open" ? "member" : "asking";
      const { before, after } = await put(group, member.text, (present) => {
        if (present?.standing === "member" || present?.standing === standing) return undefined;
        return { standing, sinceMs: Math.floor(now()) };
      });
      return { ...shapeOf(member.text, after as Membership), created: before?.standing !== after?.standing };
    },
    async leave(who, group, member) {
      requireScope(who, "write");
      // Whoever leaves is asked for nothing, and told nothing.
      if (member.text !== who.address.text) {
        await joiningOf(who, group);
        if (!owns(who, group))
          throw new Refusal("forbidden", "The owner of a group puts others out of it; you can leave.");
      }
      await put(group, member.text, (present) => (present ? "gone" : undefined));
    },
    async list(who, group) {
      requireScope(who, "read", "members");
      const joining = await joiningOf(who, group);
      const { facts, position } = await log.snapshot([factsOfNode(group, "member")]);
      await follower.known(position);
      // Whoever asks may have been blocked, or put out, before what was read.
      if (!maySee(who, group))
        throw new Refusal("not-found", "There is no such group, or none that you may see.");
      await looked(who, group);
      const found: MemberShape[] = [];
      for (const fact of facts) {
        const membership = membershipOf(fact);
        const member = nameOf(fact.subject);
        const isTold = owns(who, group) || member === who.address.text;
        if (membership && (membership.standing === "member" || isTold))
          found.push(shapeOf(member, membership));
      }
      found.sort((a, b) => (a.member < b.member ? -1 : 1));
      return { group: group.text, joining, members: found };
    },
    async of(who) {
      requireScope(who, "read", "members");
      await follower.caughtUp();
      return (
        members
          .around(who.address.text)
          // Of a group whose owner has blocked it, it learns nothing more.
          .filter(({ group, member }) => member === who.address.text && maySee(who, parseAddress(group)))
          .map(({ group, standing, timeMs }) => ({
            group,
            state: standing === "asking" ? ("pending" as const) : ("member" as const),
            since: timestamp(timeMs),
          }))
          .sort((a, b) => (a.group < b.group ? -1 : 1))
      );
    },
    async leaveAll(account) {
      // At a start the feed has just begun.
      await follower.caughtUp();
      for (const { group, member } of members.around(account.text)) {
        await put(parseAddress(group), member, (present) => (present ? "gone" : undefined));
      }
    },
  };
}

function owns(who: Principal, group: Address): boolean {
  return rootOf(group).text === who.address.text;
}

function shapeOf(member: string, { standing, sinceMs }: Membership): MemberShape {
  return { member, state: standing === "asking" ? "pending" : "member", since: timestamp(sinceMs) };
}
