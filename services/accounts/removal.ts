// Removal: the end of an account, and of everything that it held.
// In: whoever ends their account; ends that a broker did not get done. Out: tombstones. Never: a handle that is free again, or an end that stays half done.
//
// One append ends the account and notes that its things are still to go. A broker that dies after it leaves the note:
// whichever broker starts next, or looks around, goes on from there. Every step may be done again.
import { type Address, emailOf, makeAddress } from "../core/address.ts";
import { type Principal, requireScope } from "../core/principal.ts";
import type { Heads } from "../store/heads.ts";
import { Conflict, type Fact, type Log } from "../store/log.ts";
import { escapeToken, unescapeToken } from "../store/subjects.ts";
import type { Audit } from "./audit.ts";
import type { Codes } from "./confirmation.ts";
import type { Emails } from "./emails.ts";
import type { HookSecretsOfAll } from "./hook-secrets.ts";
import type { Records } from "./records.ts";
import type { Tokens } from "./tokens.ts";

export interface Removal extends Disposable {
  /** Ends the account, its tokens and everything it held. */
  remove(who: Principal): Promise<void>;
}

export interface RemovalDeps {
  readonly domain: string;
  readonly prefix: string;
  readonly log: Log;
  readonly heads: Heads;
  readonly records: Records;
  readonly tokens: Tokens;
  readonly emails: Emails;
  readonly confirmation: Pick<Codes, "end">;
  readonly hookSecrets: Pick<HookSecretsOfAll, "forgetAll">;
  readonly nodes: { remove(address: Address): Promise<void> };
  readonly audit: Pick<Audit, "record">;
  readonly onTrouble: (message: string) => void;
}

const lookAroundMs = 60_000;
const retryMs = 2_000;
const done = "{}";
/** A tombstone only has to outlive the other brokers' feeds. */
const doneSeconds = 3600;

export function openRemoval(deps: RemovalDeps): Removal {
  const { domain, prefix, log, heads, records, tokens, emails, confirmation } = deps;
  const { hookSecrets, nodes, audit, onTrouble } = deps;
  const noteOf = (local: string): string => `${prefix}.leaving.${escapeToken(local)}`;
  let isOpen = true;
  const looking = setInterval(() => void lookAround(), lookAroundMs);
  looking.unref();
  void lookAround();

  async function remove(who: Principal): Promise<void> {
    requireScope(who, "account");
    const { local } = who.address;
    const subject = noteOf(local);
    await records.change(local, async ({ createdMs, kind, email: given = "" }) => {
      const email = emailOf(given);
      const released = email && (await emails.release(email, local));
      const codes = await confirmation.end(local);
      const note = { subject, body: '{"leaving":true}', expected: 0 };
      const also = released ? [note, released, ...codes] : [note, ...codes];
      return { account: { createdMs, kind, ended: true }, also };
    });
    audit.record("account.ended", { account: who.address.text });
    const note = await heads.get(subject);
    if (note) await finish(note);
  }

  /** @param note that the account has ended and what it held has not */
  async function finish({ subject, position: expected }: Fact): Promise<void> {
    const local = unescapeToken(subject.split(".").at(-1) ?? "");
    await tokens.end(await tokens.list(local));
    await nodes.remove(makeAddress(local, domain));
    await hookSecrets.forgetAll(local);
    try {
      await heads.append([{ subject, body: done, expected, keepSeconds: doneSeconds }]);
    } catch (error) {
      // Another broker was at it as well, and got it done.
      if (!(error instanceof Conflict)) throw error;
    }
  }

  async function lookAround(): Promise<void> {
    try {
      const { facts } = await log.snapshot([`${prefix}.leaving.*`]);
      for (const note of facts) if (isOpen && note.body !== done) await finish(note);
    } catch (error) {
      if (!isOpen) return;
      onTrouble(`an account that ended still holds something: ${(error as Error).message}`);
      setTimeout(() => void lookAround(), retryMs).unref();
    }
  }

  return {
    remove,
    [Symbol.dispose]() {
      isOpen = false;
      clearInterval(looking);
    },
  };
}
