// Registration: how an account comes to be.
// In: handles, e-mail addresses, passwords, invitations. Out: an account with its node and its first token. Never: a handle given twice.
import { randomInt } from "node:crypto";
import { type Address, emailOf, makeAddress, parseHandle } from "../core/address.ts";
import { type NodeKind, rights } from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import type { Heads } from "../store/heads.ts";
import { type Append, Conflict } from "../store/log.ts";
import type { Emails } from "./emails.ts";
import type { Invitations } from "./invitations.ts";
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

export interface RegistrationDeps {
  readonly domain: string;
  readonly mode: RegistrationMode;
  readonly heads: Heads;
  readonly records: Records;
  readonly tokens: Tokens;
  readonly emails: Emails;
  readonly invitations: Invitations;
  readonly nodes: { create(address: Address, kind: NodeKind): Promise<unknown> };
  readonly now: () => number;
  readonly onRegistered: (address: Address) => void;
}

const numberTries = 20;

export function openRegistration(deps: RegistrationDeps): Registration {
  const { domain, mode, heads, records, tokens, emails, invitations, nodes, now, onRegistered } = deps;

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
    if (wish.handle !== undefined) return await claim(parseHandle(wish.handle), account, invitation);
    for (let tries = 1; ; tries++) {
      try {
        return await claim(String(randomInt(100_000_000, 1_000_000_000)), account, invitation);
      } catch (error) {
        if (!(error instanceof Refusal) || error.code !== "handle-taken" || tries === numberTries)
          throw error;
      }
    }
  }

  /** @throws Refusal `registration-closed`, in the same words whatever is wrong with it */
  async function takeInvitation(invitation: string | undefined): Promise<readonly Append[]> {
    if (invitation === undefined) return [];
    const used = await invitations.use(invitation);
    if (used === undefined)
      throw new Refusal("registration-closed", "An invitation that is still good is needed here.");
    return [used];
  }

  async function claim(
    local: string,
    account: AccountFact,
    invitation: string | undefined,
  ): Promise<{ address: string; token: string }> {
    const address = makeAddress(local, domain);
    const subject = records.subjectOf(local);
    if (await heads.get(subject)) throw taken(local);
    // The node comes first: an account whose node is missing could not be used, a node without an account shows nothing.
    await nodes.create(address, account.kind);
    const { issued, append } = tokens.create(local, { scopes: rights });
    const email = account.email === undefined ? undefined : emailOf(account.email);
    for (;;) {
      const used = await takeInvitation(invitation);
      const claimed = email && (await emails.claim(email, local));
      try {
        const made = { subject, body: JSON.stringify(account), expected: 0 };
        await heads.append([made, append, ...used, ...(claimed ? [claimed] : [])]);
        onRegistered(address);
        return { address: address.text, token: issued.token };
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
        if (await heads.refresh(subject)) throw taken(local);
        // Somebody else took the e-mail address or used the invitation at the same moment: the handle is still free.
      }
    }
  }

  return { register };
}

function taken(local: string): Refusal {
  return new Refusal("handle-taken", `The handle ${local} is taken.`);
}
