// Registration: how an account comes to be.
// In: handles, e-mail addresses, passwords, invitations. Out: an account with its node and its first token. Never: a handle given twice.
import { randomInt } from "node:crypto";
import { type Address, emailOf, makeAddress, parseHandle } from "../core/address.ts";
import { type NodeKind, rights } from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import type { Heads } from "../store/heads.ts";
import { type Append, Conflict } from "../store/log.ts";
import type { Audit } from "./audit.ts";
import type { Emails } from "./emails.ts";
import { type Invitations, invitationId } from "./invitations.ts";
import { hashPassword } from "./password.ts";
import type { AccountFact, Records } from "./records.ts";
import type { Tokens } from "./tokens.ts";

export type RegistrationMode = "open" | "invite" | "closed";

export interface RegistrationWish {
  readonly handle?: string | undefined;
  readonly email?: string | undefined;
  readonly password?: string | undefined;
  readonly displayName?: string | undefined;
  /** Looked at where one is needed. */
  readonly invitation?: string | undefined;
}

export interface Registration {
  register(wish: RegistrationWish): Promise<{ address: string; token: string }>;
}

/** What is appended together with an account, asked for anew when somebody else was faster. */
export type Also = (local: string) => Promise<readonly Append[]>;

export interface Claims {
  /** @throws Refusal `handle-taken` */
  claim(local: string, account: AccountFact, also: Also): Promise<void>;
  /** @returns the number that it got */
  claimNumber(account: AccountFact, also: Also): Promise<string>;
}

export interface RegistrationDeps {
  readonly domain: string;
  readonly mode: RegistrationMode;
  readonly heads: Heads;
  readonly records: Records;
  readonly tokens: Tokens;
  readonly emails: Emails;
  readonly invitations: Invitations;
  readonly nodes: { create(address: Address, kind: NodeKind): Promise<unknown> };
  readonly audit: Pick<Audit, "record">;
  readonly now: () => number;
  readonly onRegistered: (address: Address) => void;
}

const numberTries = 20;

export function openRegistration(deps: RegistrationDeps): Registration & Claims {
  const { domain, mode, heads, records, tokens, emails, invitations, nodes, audit, now, onRegistered } = deps;

  async function register(wish: RegistrationWish): Promise<{ address: string; token: string }> {
    if (mode === "closed") throw new Refusal("registration-closed", "Registration is closed here.");
    const invitation = mode === "invite" ? (wish.invitation ?? "") : undefined;
    // Whoever may not register learns nothing about handles, and leaves no trace.
    await takeInvitation(invitation);
    const password = wish.password === undefined ? {} : { password: await hashPassword(wish.password) };
    const account: AccountFact = {
      createdMs: Math.floor(now()),
      kind: "person",
      ...(wish.email !== undefined && { email: wish.email }),
      ...(wish.displayName !== undefined && { displayName: wish.displayName }),
      ...password,
    };
    const email = emailOf(wish.email ?? "");
    let token = "";
    const also = async (local: string): Promise<readonly Append[]> => {
      const { issued, append } = tokens.create(local, { scopes: rights });
      token = issued.token;
      const used = await takeInvitation(invitation);
      const claimed = email && (await emails.claim(email, local));
      return [append, ...used, ...(claimed ? [claimed] : [])];
    };
    const { handle } = wish;
    const local = handle === undefined ? undefined : parseHandle(handle);
    if (local !== undefined) await claim(local, account, also);
    const address = makeAddress(local ?? (await claimNumber(account, also)), domain);
    audit.record("account.registered", { account: address.text });
    if (invitation !== undefined) {
      audit.record("invitation.used", { account: address.text, invitation: invitationId(invitation) });
    }
    onRegistered(address);
    return { address: address.text, token };
  }

  /** @throws Refusal `registration-closed`, in the same words whatever is wrong with it */
  async function takeInvitation(invitation: string | undefined): Promise<readonly Append[]> {
    if (invitation === undefined) return [];
    const used = await invitations.use(invitation);
    if (used === undefined)
      throw new Refusal("registration-closed", "An invitation that is still good is needed here.");
    return [used];
  }

  async function claim(local: string, account: AccountFact, also: Also): Promise<void> {
    const subject = records.subjectOf(local);
    if (await heads.get(subject)) throw taken(local);
    // The node comes first: an account whose node is missing could not be used, a node without an account shows nothing.
    await nodes.create(makeAddress(local, domain), account.kind);
    for (;;) {
      const others = await also(local);
      try {
        await heads.append([{ subject, body: JSON.stringify(account), expected: 0 }, ...others]);
        return;
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
        if (await heads.refresh(subject)) throw taken(local);
        // Somebody else took the e-mail address or used the invitation at the same moment: the handle is still free.
      }
    }
  }

  async function claimNumber(account: AccountFact, also: Also): Promise<string> {
    for (let tries = 1; ; tries++) {
      const local = String(randomInt(100_000_000, 1_000_000_000));
      try {
        await claim(local, account, also);
        return local;
      } catch (error) {
        if (!(error instanceof Refusal) || error.code !== "handle-taken" || tries === numberTries)
          throw error;
      }
    }
  }

  return { register, claim, claimNumber };
}

function taken(local: string): Refusal {
  return new Refusal("handle-taken", `The handle ${local} is taken.`);
}
