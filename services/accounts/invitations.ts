// Invitations: how the operator lets somebody register where not everybody may. One is `<id>.<secret>`; only the secret's SHA-256 is kept.
// In: the operator's wishes, invitations. Out: invitations shown once, and what uses one up together with the account. Never: more accounts than it has uses.
import { hash, randomBytes, timingSafeEqual } from "node:crypto";
import { timestamp } from "../core/event.ts";
import { Refusal } from "../core/refusal.ts";
import type { Heads } from "../store/heads.ts";
import { type Append, Conflict, type Fact, type Log } from "../store/log.ts";
import type { Audit } from "./audit.ts";

export interface Invitations {
  create(wish: InvitationWish): Promise<{ id: string; invitation: string; expires: string }>;
  /** Those that are good, without their secrets. */
  list(): Promise<readonly InvitationShape[]>;
  /** @throws Refusal `not-found` */
  remove(id: string): Promise<void>;
  /** What takes one use of it, to be appended with the account that it is used for; undefined when it is not good. */
  use(invitation: string): Promise<Append | undefined>;
}

export interface InvitationWish {
  /** Seconds. */
  readonly expiresIn?: number | undefined;
  readonly uses?: number | undefined;
}

export interface InvitationShape {
  readonly id: string;
  readonly created: string;
  readonly expires: string;
  /** How many are left. */
  readonly uses: number;
}

interface InvitationFact {
  /** SHA-256 of the secret, base64url. */
  readonly hash: string;
  readonly createdMs: number;
  readonly untilMs: number;
  readonly uses: number;
}

const pattern = /^([A-Za-z0-9_-]{16})\.([A-Za-z0-9_-]{32})$/;
const goodForSeconds = 7 * 24 * 3600;
const invitationsMax = 1_000;
/** The id of an invitation, for the record. */
export function invitationId(invitation: string): string | undefined {
  return pattern.exec(invitation)?.[1];
}

/** A tombstone only has to outlive the other brokers' feeds. */
const endedSeconds = 3600;
const roundsMax = 20;

export function openInvitations(deps: {
  prefix: string;
  log: Log;
  heads: Heads;
  audit: Pick<Audit, "record">;
  now: () => number;
}): Invitations {
  const { prefix, log, heads, audit, now } = deps;
  const subjectOf = (id: string): string => `${prefix}.invitation.${id}`;

  /** What the fact says, unless it is over. */
  function read(fact: Fact | undefined): InvitationFact | undefined {
    const invitation = JSON.parse(fact?.body ?? "{}") as Partial<InvitationFact>;
    if (invitation.hash === undefined) return undefined;
    return (invitation.untilMs ?? 0) > now() ? (invitation as InvitationFact) : undefined;
  }

  function appendOf(subject: string, invitation: InvitationFact, expected: number): Append {
    if (invitation.uses === 0) return { subject, body: "{}", expected, keepSeconds: endedSeconds };
    const keepSeconds = Math.ceil((invitation.untilMs - now()) / 1000) + 1;
    return { subject, body: JSON.stringify(invitation), expected, keepSeconds };
  }

  async function list(): Promise<readonly InvitationShape[]> {
    const { facts } = await log.snapshot([subjectOf("*")]);
    return facts.flatMap((fact) => {
      const found = read(fact);
      if (found === undefined) return [];
      const { createdMs, untilMs, uses } = found;
      const id = fact.subject.split(".").at(-1) ?? "";
      return [{ id, created: timestamp(createdMs), expires: timestamp(untilMs), uses }];
    });
  }

  return {
    list,
    async create({ expiresIn = goodForSeconds, uses = 1 }) {
      if ((await list()).length >= invitationsMax) {
        throw new Refusal("rate-limited", `There are ${invitationsMax} invitations already; end some.`);
      }
      const id = randomBytes(12).toString("base64url");
      const secret = randomBytes(24).toString("base64url");
      const createdMs = Math.floor(now());
      const untilMs = createdMs + Math.round(expiresIn * 1000);
      const fact = { hash: hash("sha256", secret, "base64url"), createdMs, untilMs, uses };
      await heads.append([appendOf(subjectOf(id), fact, 0)]);
      audit.record("invitation.made", { invitation: id });
      return { id, invitation: `${id}.${secret}`, expires: timestamp(untilMs) };
    },
    async remove(id) {
      for (let round = 0; round < roundsMax; round++) {
        const fact = pattern.test(`${id}.${"0".repeat(32)}`) ? await heads.refresh(subjectOf(id)) : undefined;
        const found = read(fact);
        if (fact === undefined || found === undefined) break;
        try {
          await heads.append([appendOf(fact.subject, { ...found, uses: 0 }, fact.position)]);
          audit.record("invitation.ended", { invitation: id });
          return;
        } catch (error) {
          // It was used meanwhile; it may have uses left.
          if (!(error instanceof Conflict)) throw error;
        }
      }
      throw new Refusal("not-found", "There is no such invitation.");
    },
    async use(invitation) {
      const [, id = "", secret = ""] = pattern.exec(invitation) ?? [];
      const fact = id === "" ? undefined : await heads.refresh(subjectOf(id));
      const found = read(fact);
      if (fact === undefined || found === undefined) return undefined;
      const given = Buffer.from(hash("sha256", secret, "base64url"));
      if (!timingSafeEqual(given, Buffer.from(found.hash))) return undefined;
      return appendOf(fact.subject, { ...found, uses: found.uses - 1 }, fact.position);
    },
  };
}
