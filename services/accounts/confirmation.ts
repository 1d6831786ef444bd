// Confirmation: whether an account's e-mail address is its owner's, by a code that is sent there.
// In: e-mail addresses, codes. Out: letters, and claims that count. Never: a code at rest in clear, or a claim that keeps the true owner out.
import { randomInt } from "node:crypto";
import { type Address, emailOf } from "../core/address.ts";
import { type Principal, requireScope } from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import type { Heads } from "../store/heads.ts";
import { type Append, Conflict, type Fact, LogUnavailable } from "../store/log.ts";
import { escapeToken } from "../store/subjects.ts";
import type { Emails } from "./emails.ts";
import type { Mail } from "./mail.ts";
import { hashPassword, passwordFits } from "./password.ts";
import type { Records } from "./records.ts";

export interface Confirmation {
  /** Another e-mail address in place of the one that was. A code is sent to it. */
  setEmail(who: Principal, email: string): Promise<void>;
  /** @throws Refusal `nothing-to-confirm`, `rate-limited` */
  sendCode(who: Principal): Promise<void>;
  /** @throws Refusal `wrong-code` */
  confirm(who: Principal, code: string): Promise<void>;
}

export interface ConfirmationDeps {
  readonly prefix: string;
  readonly heads: Heads;
  readonly records: Records;
  readonly emails: Emails;
  /** Without it no address is ever confirmed. */
  readonly mail: Mail | undefined;
  readonly now: () => number;
}

interface CodeFact {
  /** scrypt, since there are few codes; absent once it was used. */
  readonly hash?: string;
  readonly email: string;
  readonly untilMs: number;
  /** How many were tried in its place. */
  readonly tries: number;
  /** When this account was sent codes lately. */
  readonly sentMs: readonly number[];
}

/** No letters or digits that look alike. */
const alphabet = "ABCDEFGHJKMNPQRSTVWXYZ23456789";
const codeLength = 8;
const triesMax = 5;
const daySeconds = 24 * 3600;
/** Letters to one account in a day. */
const sentMax = 5;
const roundsMax = 20;

export interface Codes extends Confirmation {
  /** The first code of an account that has just registered. */
  welcome(address: Address): Promise<void>;
  /** What takes the account's code away. */
  end(local: string): Promise<readonly Append[]>;
}

export function openConfirmation(deps: ConfirmationDeps): Codes {
  const { prefix, heads, records, emails, mail, now } = deps;
  const subjectOf = (local: string): string => `${prefix}.code.${escapeToken(local)}`;

  /** A new code in place of any other, and the letter that brings it. */
  async function make(
    { local, text }: Address,
    email: string,
  ): Promise<{ append: Append; send: () => void }> {
    const subject = subjectOf(local);
    const fact = await heads.refresh(subject);
    const nowMs = Math.floor(now());
    const sentMs = (read(fact)?.sentMs ?? []).filter((ms) => ms > nowMs - daySeconds * 1000);
    if (sentMs.length >= sentMax) {
      throw new Refusal("rate-limited", `An account is sent at most ${sentMax} codes a day.`);
    }
    const letters = Array.from({ length: codeLength }, () => alphabet[randomInt(alphabet.length)]).join("");
    const code: CodeFact = {
      hash: await hashPassword(letters),
      email,
      untilMs: nowMs + daySeconds * 1000,
      tries: 0,
      sentMs: [...sentMs, nowMs],
    };
    const shown = `${letters.slice(0, 4)}-${letters.slice(4)}`;
    return {
      append: { ...codeAppend(subject, code), expected: fact?.position ?? 0 },
      send: () => mail?.send({ to: email, subject: `Your code for ${text}`, text: letterText(text, shown) }),
    };
  }

  async function sendTo(address: Address, email: string): Promise<void> {
    const { append, send } = await make(address, email);
    await heads.append([append]);
    send();
  }

  async function setEmail(who: Principal, given: string): Promise<void> {
    requireScope(who, "account");
    const { local } = who.address;
    const email = emailOf(given);
    if (email === undefined) throw notAnEmail();
    let send = (): void => undefined;
    await records.change(local, async (account) => {
      const before = emailOf(account.email ?? "");
      if (before === email && (await emails.isConfirmed(email, local))) return { account };
      const also: Append[] = [];
      if (mail) {
        const made = await make(who.address, email);
        send = made.send;
        also.push(made.append);
      }
      if (before !== email) {
        const released = before && (await emails.release(before, local));
        const claimed = await emails.claim(email, local);
        also.push(...[released, claimed].filter((one) => typeof one === "object"));
      }
      return { account: { ...account, email: given }, also };
    });
    send();
  }

  async function sendCode(who: Principal): Promise<void> {
    requireScope(who, "account");
    const { local } = who.address;
    const email = emailOf((await records.find(local))?.email ?? "");
    if (mail === undefined) throw nothing("This broker sends no mail, so it confirms no e-mail address.");
    if (email === undefined) throw nothing("The account has no e-mail address.");
    if (await emails.isConfirmed(email, local)) throw nothing("The e-mail address is confirmed already.");
    await sendTo(who.address, email);
  }

  async function confirm(who: Principal, given: string): Promise<void> {
    requireScope(who, "account");
    const { local } = who.address;
    const { fact, code } = await countTry(local);
    const letters = given.toUpperCase().replace(/[\s-]/g, "");
    if (!(await passwordFits(letters, code.hash))) throw wrong();
    await records.change(local, async (account) => {
      const present = await heads.refresh(fact.subject);
      if (present?.position !== fact.position || emailOf(account.email ?? "") !== code.email) throw wrong();
      const { hash, ...used } = code;
      const spent = { ...codeAppend(fact.subject, used), expected: fact.position };
      return { account, also: [spent, await emails.confirm(code.email, local)] };
    });
  }

  /** The try is counted before it is known whether it is the right one, so that many at once are still counted. */
  async function countTry(local: string): Promise<{ fact: Fact; code: CodeFact }> {
    for (let round = 0; round < roundsMax; round++) {
      const fact = await heads.refresh(subjectOf(local));
      const code = read(fact);
      if (fact === undefined || code?.hash === undefined) throw wrong();
      if (code.untilMs <= now() || code.tries >= triesMax) throw wrong();
      const counted = { ...code, tries: code.tries + 1 };
      const append = { ...codeAppend(fact.subject, counted), expected: fact.position };
      try {
        const position = await heads.append([append]);
        return { fact: { ...fact, position }, code: counted };
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
      }
    }
    throw new LogUnavailable("others kept trying the same code");
  }

  return {
    setEmail,
    sendCode,
    confirm,
    async welcome(address) {
      const email = emailOf((await records.find(address.local))?.email ?? "");
      if (mail && email) await sendTo(address, email);
    },
    async end(local) {
      const fact = await heads.refresh(subjectOf(local));
      if (read(fact) === undefined) return [];
      return [
        { subject: subjectOf(local), body: "{}", expected: fact?.position ?? 0, keepSeconds: daySeconds },
      ];
    },
  };
}

function read(fact: Fact | undefined): CodeFact | undefined {
  const code = JSON.parse(fact?.body ?? "{}") as Partial<CodeFact>;
  return code.email === undefined ? undefined : (code as CodeFact);
}

function codeAppend(subject: string, code: CodeFact): Omit<Append, "expected"> {
  return { subject, body: JSON.stringify(code), keepSeconds: daySeconds };
}

function letterText(address: string, code: string): string {
  return `Somebody registered this e-mail address for the account ${address}.

If that was you, confirm it with this code within a day:

    ${code}

If it was not, do nothing: without the code nothing comes of it.
`;
}

function notAnEmail(): Refusal {
  const detail = "is not an e-mail address that mail can be sent to";
  return new Refusal("bad-request", `The body does not fit: /email ${detail}.`, [
    { pointer: "/email", detail },
  ]);
}

function nothing(detail: string): Refusal {
  return new Refusal("nothing-to-confirm", detail);
}

function wrong(): Refusal {
  return new Refusal("wrong-code", "The code is not the one that was sent last, was used, or is too old.");
}
