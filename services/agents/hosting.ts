// Hosting: one agent after the other session, as long as this broker holds the claim to it.
// In: claims, records, the catalog. Out: sessions, each for as long as a record stays as it is; failures, noted in the record. Never: two sessions of one agent at once.
import { permitted } from "../../agents/permissions.ts";
import type { Book } from "../policy/policies.ts";
import type { Log } from "../store/log.ts";
import type { Claim } from "../work/work.ts";
import { type ActingDeps, openActing } from "./acting.ts";
import type { Catalog } from "./catalog.ts";
import { openKeeping } from "./keeping.ts";
import { type ListeningDeps, listen } from "./listening.ts";
import { progressOf } from "./progress.ts";
import type { Record, Records } from "./records.ts";
import { run, type Showing } from "./running.ts";
import type { Threads } from "./threads.ts";
import { nodeOf, principalOf } from "./who.ts";

export interface HostingDeps
  extends Pick<ActingDeps, "reader" | "writer" | "send" | "search" | "egress" | "pace" | "gate">,
    ListeningDeps {
  readonly domain: string;
  readonly log: Log;
  readonly book: Pick<Book, "of" | "listen">;
  readonly records: Records;
  readonly catalog: Catalog;
  readonly now: () => number;
  readonly onRun: (state: string) => void;
  readonly onTrouble: (message: string) => void;
  readonly threads: Threads;
  readonly backoffMs?: readonly number[] | undefined;
}

export interface Hosting extends Disposable {
  work(claim: Claim): Promise<void>;
  /** What an agent at work here shows of itself. */
  showing(id: string): Showing | undefined;
  /** Its record has become another one. */
  changed(id: string): void;
}

const pauseMs = 1_000;

export function openHosting(deps: HostingDeps): Hosting {
  const { domain, log, book, records, catalog, onTrouble } = deps;
  const showing = new Map<string, Showing>();
  const bells = new Map<string, () => void>();

  function isContact(owner: string, who: string): boolean {
    const { contacts } = book.of(owner);
    const [account = who] = who.split("/");
    return (
      contacts === undefined || contacts.has(account) || contacts.has(account.slice(account.indexOf("@")))
    );
  }

  async function fail({ id, turn }: Record, reason: string): Promise<void> {
    const failed = reason.slice(0, 1_000);
    await records.change(id, (present) => (present.turn === turn ? { ...present, failed } : present));
  }

  async function work(claim: Claim): Promise<void> {
    const id = claim.item;
    const keeping = openKeeping(log, domain, id);
    const at = { progress: progressOf(claim.progress), deaths: [], isSuspect: false };
    while (!claim.signal.aborted) {
      const record = records.get(id);
      if (record === undefined) return;
      const other = new AbortController();
      const signal = AbortSignal.any([claim.signal, other.signal]);
      bells.set(id, () => records.get(id) !== record && other.abort());
      if (!record.isEnabled || record.failed !== undefined) {
        await aborted(signal);
        continue;
      }
      try {
        const kind = await catalog.get(record.agent);
        if (kind === undefined) {
          await fail(record, "no agent of this name is installed here");
          continue;
        }
        const { permissions, on: triggers } = kind.definition;
        const principal = principalOf(record, permissions);
        const node = nodeOf(record);
        const granted = { permissions, owner: record.owner, node: node.text };
        await run(
          { claim, record, kind, node: node.text, keeping, at, signal },
          {
            ...deps,
            backoffMs: deps.backoffMs,
            listen: (from) => listen({ record, node: node.text, principal, triggers, ...from }, deps),
            openPort: (hooks) =>
              permitted(openActing({ ...deps, ...hooks, principal, node, keeping }), {
                ...granted,
                isContact: (who) => isContact(record.owner, who),
              }),
            fail: (reason) => fail(record, reason),
          },
          (shown) => showing.set(id, shown),
        );
      } catch (error) {
        if (claim.signal.aborted) return;
        onTrouble(`the agent ${id} waits: ${(error as Error).message}`);
        await Promise.race([aborted(signal), new Promise((resolve) => setTimeout(resolve, pauseMs).unref())]);
      } finally {
        showing.delete(id);
      }
    }
  }

  const turning = book.listen(({ owner, before, after }) => {
    for (const [id, shown] of showing) {
      const isRoster = records.get(id)?.owner === owner && before.contacts !== after.contacts;
      shown.recall(isRoster ? undefined : owner);
    }
  });

  return {
    work,
    showing: (id) => showing.get(id),
    changed: (id) => bells.get(id)?.(),
    [Symbol.dispose]: () => turning[Symbol.dispose](),
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
