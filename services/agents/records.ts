// Records: the agents that people run, one fact each in the log of work, known on every broker.
// In: wishes, the feed of the log of work. Out: records, and word of each that comes, changes or goes. Never: two records of one id.
import type { Json } from "../core/json.ts";
import type { Follower } from "../store/follower.ts";
import type { Heads } from "../store/heads.ts";
import { Conflict, type Fact, type Log, LogUnavailable } from "../store/log.ts";
import { escapeToken, nameOf } from "../store/subjects.ts";

export interface Record {
  readonly id: string;
  readonly owner: string;
  /** The kind that it is of. */
  readonly agent: string;
  /** Of the module, when it was set up. */
  readonly version: string;
  readonly config: { readonly [key: string]: Json };
  readonly isEnabled: boolean;
  /** Why it was stopped. */
  readonly failed: string | undefined;
  readonly sinceMs: number;
  /** How often it was enabled. */
  readonly turn: number;
}

export interface RecordListener {
  changed(record: Record): void;
  gone(record: Record): void;
}

export interface Records extends AsyncDisposable {
  get(id: string): Record | undefined;
  of(owner: string): readonly Record[];
  all(): Iterable<Record>;
  make(record: Record): Promise<void>;
  /** Asked again with what is there when somebody else was faster. @returns undefined where there is none */
  change(id: string, next: (present: Record) => Record): Promise<Record | undefined>;
  remove(id: string): Promise<void>;
  /** Told of those that are there, then of whatever becomes of them. */
  listen(listener: RecordListener): Disposable;
  /** Resolves once all that any broker acknowledged before is known. */
  caughtUp(): Promise<void>;
}

interface Wire extends Omit<Record, "id" | "failed"> {
  readonly failed?: string;
}

const roundsMax = 20;
const tombstoneSeconds = 24 * 3600;

export interface RecordDeps {
  readonly domain: string;
  readonly log: Log;
  readonly follower: Follower;
  readonly heads: Pick<Heads, "refresh">;
}

/** Resolves once those are known that are there. */
export async function openRecords({ domain, log, follower, heads }: RecordDeps): Promise<Records> {
  const prefix = `w.${escapeToken(domain)}.agent`;
  const records = new Map<string, Record>();
  const listeners = new Set<RecordListener>();
  const positions = new Map<string, number>();
  const listening = follower.listen({ take });
  for (const fact of (await log.snapshot([`${prefix}.*`])).facts) take(fact);

  function take(fact: Fact): void {
    if (!fact.subject.startsWith(`${prefix}.`) || fact.position <= (positions.get(fact.subject) ?? 0)) return;
    const id = nameOf(fact.subject);
    const present = records.get(id);
    const record = recordOf(fact);
    if (record) {
      positions.set(fact.subject, fact.position);
      records.set(id, record);
      for (const one of listeners) one.changed(record);
    } else {
      positions.delete(fact.subject);
      records.delete(id);
      if (present) for (const one of listeners) one.gone(present);
    }
  }

  const subjectOf = (id: string): string => `${prefix}.${escapeToken(id)}`;

  async function change(id: string, next: (present: Record) => Record): Promise<Record | undefined> {
    for (let round = 0; round < roundsMax; round++) {
      const fact = await heads.refresh(subjectOf(id));
      const present = fact && recordOf(fact);
      if (fact === undefined || present === undefined) return undefined;
      const changed = next(present);
      if (changed === present) return present;
      try {
        await log.append([{ subject: subjectOf(id), body: bodyOf(changed), expected: fact.position }]);
        return changed;
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
      }
    }
    throw new LogUnavailable("others kept changing the same agent");
  }

  return {
    get: (id) => records.get(id),
    of: (owner) => [...records.values()].filter((record) => record.owner === owner),
    all: () => records.values(),
    async make(record) {
      await log.append([{ subject: subjectOf(record.id), body: bodyOf(record), expected: 0 }]);
      await follower.caughtUp();
    },
    async change(id, next) {
      const changed = await change(id, next);
      await follower.caughtUp();
      return changed;
    },
    async remove(id) {
      const subject = subjectOf(id);
      for (let round = 0; round < roundsMax; round++) {
        const fact = await heads.refresh(subject);
        if (fact === undefined || recordOf(fact) === undefined) break;
        try {
          await log.append([{ subject, body: "{}", expected: fact.position, keepSeconds: tombstoneSeconds }]);
          break;
        } catch (error) {
          if (!(error instanceof Conflict)) throw error;
        }
      }
      await follower.caughtUp();
    },
    listen(listener) {
      listeners.add(listener);
      for (const record of records.values()) listener.changed(record);
      return { [Symbol.dispose]: () => void listeners.delete(listener) };
    },
    caughtUp: () => follower.caughtUp(),
    [Symbol.asyncDispose]: async () => listening[Symbol.dispose](),
  };
}

function recordOf(fact: Fact): Record | undefined {
  const wire = JSON.parse(fact.body) as Partial<Wire>;
  if (wire.owner === undefined) return undefined;
  return { ...(wire as Wire), failed: wire.failed, id: nameOf(fact.subject) };
}

function bodyOf({ id: _, failed, ...wire }: Record): string {
  return JSON.stringify(failed === undefined ? wire : { ...wire, failed });
}
