// Hook secrets: what the deliveries of an account's webhooks are signed with, kept apart from the feed.
// In: accounts, ids of their subscriptions, secrets. Out: those that sign now. Never: a secret in the log that watchers are fed from.
//
// A secret that signs cannot be hashed: it lies in the accounts' log as it is, like the keys of any signer.
import { type Address, rootOf } from "../core/address.ts";
import { oncePerFact } from "../store/decoded.ts";
import type { Heads } from "../store/heads.ts";
import { Conflict, type Fact, type Log, LogUnavailable } from "../store/log.ts";
import { escapeToken } from "../store/subjects.ts";

export interface HookSecrets {
  /** Those that sign now, the newest first; none where nothing is kept. */
  of(owner: Address, id: string): Promise<readonly string[]>;
  /** From now on this one signs, and for a day the one before it as well. */
  keep(owner: Address, id: string, secret: string): Promise<void>;
  forget(owner: Address, id: string): Promise<void>;
}

export interface HookSecretsOfAll extends HookSecrets {
  /** The account has ended. */
  forgetAll(local: string): Promise<void>;
}

interface Kept {
  readonly secret?: string;
  readonly before?: string;
  /** Until then the one before signs as well, in ms since 1970. */
  readonly untilMs?: number;
}

const bothMs = 24 * 3_600_000;
const roundsMax = 20;
/** A tombstone only has to outlive the other brokers' feeds. */
const goneSeconds = 3600;
const keptOf = oncePerFact((fact): Kept => JSON.parse(fact.body) as Kept);

export function openHookSecrets(deps: {
  readonly prefix: string;
  readonly log: Log;
  readonly heads: Heads;
  readonly now: () => number;
}): HookSecretsOfAll {
  const { prefix, log, heads, now } = deps;
  const subjectOf = (owner: Address, id: string): string =>
    `${prefix}.hook.${escapeToken(rootOf(owner).local)}.${escapeToken(id)}`;

  function signing(fact: Fact | undefined): readonly string[] {
    const { secret, before, untilMs = 0 } = fact ? keptOf(fact) : {};
    if (secret === undefined) return [];
    return before !== undefined && untilMs > now() ? [secret, before] : [secret];
  }

  /** @param next undefined: it stays as it is */
  async function change(subject: string, next: (present: Kept) => Kept | undefined): Promise<void> {
    for (let round = 0; round < roundsMax; round++) {
      const fact = await heads.refresh(subject);
      const wanted = next(fact ? keptOf(fact) : {});
      if (wanted === undefined) return;
      const end = wanted.secret === undefined ? { keepSeconds: goneSeconds } : {};
      try {
        await heads.append([
          { subject, body: JSON.stringify(wanted), expected: fact?.position ?? 0, ...end },
        ]);
        return;
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
      }
    }
    throw new LogUnavailable("others kept changing the same webhook");
  }

  async function forget(subject: string): Promise<void> {
    await change(subject, ({ secret }) => (secret === undefined ? undefined : {}));
  }

  return {
    of: async (owner, id) => signing(await heads.get(subjectOf(owner, id))),
    async keep(owner, id, secret) {
      await change(subjectOf(owner, id), (present) => {
        if (present.secret === secret) return undefined;
        return present.secret === undefined
          ? { secret }
          : { secret, before: present.secret, untilMs: now() + bothMs };
      });
    },
    forget: async (owner, id) => await forget(subjectOf(owner, id)),
    async forgetAll(local) {
      const { facts } = await log.snapshot([`${prefix}.hook.${escapeToken(local)}.*`]);
      for (const { subject } of facts) await forget(subject);
    },
  };
}
