// Registration: how an account comes to be.
// In: handles, e-mail addresses, passwords. Out: an account with its node and its first token. Never: a handle given twice.
import { randomInt } from "node:crypto";
import { type Address, emailOf, makeAddress, parseHandle } from "../core/address.ts";
import { type NodeKind, rights } from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import type { Heads } from "../store/heads.ts";
import { Conflict } from "../store/log.ts";
import type { Emails } from "./emails.ts";
import { hashPassword } from "./password.ts";
import type { AccountFact, Records } from "./records.ts";
import type { Tokens } from "./tokens.ts";

export type RegistrationMode = "open" | "invite" | "closed";

export interface RegistrationWish {
  readonly handle?: string | undefined;
  readonly email?: string | undefined;
  readonly password?: string | undefined;
  readonly displayName?: string | undefined;
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
  readonly nodes: { create(address: Address, kind: NodeKind): Promise<unknown> };
  readonly now: () => number;
}

const numberTries = 20;

export function openRegistration(deps: RegistrationDeps): Registration {
  const { domain, mode, heads, records, tokens, emails, nodes, now } = deps;

  async function register(wish: RegistrationWish): Promise<{ address: string; token: string }> {
    if (mode !== "open") {
      const how = mode === "invite" ? "An invitation is needed here." : "Registration is closed here.";
      throw new Refusal("registration-closed", how);
    }
    const password = wish.password === undefined ? {} : { password: await hashPassword(wish.password) };
    const account: AccountFact = {
      createdMs: Math.floor(now()),
      kind: "person",
      ...(wish.email !== undefined && { email: wish.email }),
      ...(wish.displayName !== undefined && { displayName: wish.displayName }),
      ...password,
    };
    if (wish.handle !== undefined) return await claim(parseHandle(wish.handle), account);
    for (let tries = 1; ; tries++) {
      try {
        return await claim(String(randomInt(100_000_000, 1_000_000_000)), account);
      } catch (error) {
        if (!(error instanceof Refusal) || error.code !== "handle-taken" || tries === numberTries)
          throw error;
      }
    }
  }

  async function claim(local: string, account: AccountFact): Promise<{ address: string; token: string }> {
    const address = makeAddress(local, domain);
    const subject = records.subjectOf(local);
    if (await heads.get(subject)) throw taken(local);
    // The node comes first: an account whose node is missing could not be used, a node without an account shows nothing.
    await nodes.create(address, account.kind);
    const { issued, append } = tokens.create(local, { scopes: rights });
    const email = account.email === undefined ? undefined : emailOf(account.email);
    for (;;) {
      const claimed = email && (await emails.claim(email, local));
      try {
        const made = { subject, body: JSON.stringify(account), expected: 0 };
        await heads.append(claimed ? [made, append, claimed] : [made, append]);
        return { address: address.text, token: issued.token };
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
        if (await heads.refresh(subject)) throw taken(local);
        // Somebody else took the e-mail address at the same moment: the handle is still free.
      }
    }
  }

  return { register };
}

function taken(local: string): Refusal {
  return new Refusal("handle-taken", `The handle ${local} is taken.`);
}
