// Kept timers: what one agent wants to be woken by, in the log of work until the run that it causes has ended.
// In: timers, under the key of the call that sets them. Out: the same, also those whose run was cut off. Never: one set a second time by the same call, or one that is lost because another took its name.
import type { Json } from "../core/json.ts";
import { Turns } from "../core/turns.ts";
import { type Append, Conflict, type Fact, type Log, LogUnavailable } from "../store/log.ts";
import { escapeToken, nameOf } from "../store/subjects.ts";

export interface Timer {
  /** Of the event that it becomes. */
  readonly id: string;
  readonly name: string;
  readonly dueMs: number;
  readonly data: Json;
  /** The same for the same call of the same run. */
  readonly key: string;
}

export interface KeptTimers {
  /** Those that are set, and those whose run has not ended. */
  all(): Promise<readonly Timer[]>;
  /**
   * In place of one of the same name.
   * @returns what is set; undefined where this very call had set it before, and its run has ended since
   * @throws TooManyTimers
   */
  set(timer: Omit<Timer, "id">, isFiring: IsFiring): Promise<Timer | undefined>;
  cancel(name: string, isFiring: IsFiring): Promise<void>;
  /** Its run has ended. */
  end(timer: Timer): Promise<void>;
}

/** Whether the run of a timer has begun and not ended. */
export type IsFiring = (id: string) => boolean;

export interface KeptTimersOptions {
  readonly log: Pick<Log, "append" | "last" | "snapshot">;
  /** Which agent's. */
  readonly of: string;
  /** Of the subjects of timers by name. */
  readonly prefix: string;
  /** Of the subjects of those whose run is on while their name is no longer their own. */
  readonly asidePrefix: string;
}

const timersMax = 1_000;
const endedSeconds = 3600;
const roundsMax = 20;

export class TooManyTimers extends Error {
  override readonly name = "TooManyTimers";
}

/** What lies under a name: a timer, or what became of the last one. */
type Kept = Omit<Timer, "id" | "name"> | { readonly ended: string } | null;

export function openKeptTimers({ log, of, prefix, asidePrefix }: KeptTimersOptions): KeptTimers {
  const subjectOf = (name: string): string => `${prefix}.${escapeToken(name)}`;
  const asideOf = (id: string): string => `${asidePrefix}.${escapeToken(id)}`;
  const idAt = (position: number): string => `${of}-timer-${position}`;
  /** Whether a call sets or one that ended is taken away is decided one after the other. */
  const turns = new Turns(1);

  function timerOf(fact: Fact | undefined): Timer | undefined {
    const kept = fact && (JSON.parse(fact.body) as Kept);
    if (fact === undefined || !kept || !("dueMs" in kept)) return undefined;
    return { ...kept, name: nameOf(fact.subject), id: idAt(fact.position) };
  }

  async function all(): Promise<Timer[]> {
    const [set, aside] = await Promise.all([
      log.snapshot([`${prefix}.*`]),
      log.snapshot([`${asidePrefix}.*`]),
    ]);
    const running = aside.facts.map(({ body }) => JSON.parse(body) as Timer | null);
    return [...set.facts.map(timerOf), ...running].filter((timer) => timer !== undefined && timer !== null);
  }

  /** Puts something else under a name. The timer that was there is kept aside while its run is on. */
  async function replace(fact: Fact | undefined, append: Append, isFiring: IsFiring): Promise<number> {
    const before = timerOf(fact);
    const facts: Append[] = [{ ...append, expected: fact?.position ?? 0 }];
    if (before && isFiring(before.id)) {
      const aside = asideOf(before.id);
      const there = await log.last(aside);
      facts.push({ subject: aside, body: JSON.stringify(before), expected: there?.position ?? 0 });
    }
    return await log.append(facts);
  }

  /** Once more where another broker, which is about to lose this agent, was faster. */
  async function tried<T>(act: () => Promise<T>): Promise<T> {
    return await turns.run(async () => {
      for (let round = 0; round < roundsMax; round++) {
        try {
          return await act();
        } catch (error) {
          if (!(error instanceof Conflict)) throw error;
        }
      }
      throw new LogUnavailable("others kept writing the same");
    });
  }

  return {
    all,
    set: async ({ name, ...rest }, isFiring) =>
      await tried(async () => {
        const subject = subjectOf(name);
        const fact = await log.last(subject);
        const kept = fact && (JSON.parse(fact.body) as Kept);
        if (kept && "ended" in kept && kept.ended === rest.key) return undefined;
        const before = timerOf(fact);
        // The same call once more: its time counts from the first.
        if (before?.key === rest.key) return before;
        if (before === undefined && (await all()).length >= timersMax) {
          throw new TooManyTimers(`An agent has ${timersMax} timers at most; cancel some.`);
        }
        const position = await replace(fact, { subject, body: JSON.stringify(rest), expected: 0 }, isFiring);
        return { ...rest, name, id: idAt(position) };
      }),
    cancel: async (name, isFiring) =>
      await tried(async () => {
        const subject = subjectOf(name);
        const fact = await log.last(subject);
        if (timerOf(fact) === undefined) return;
        await replace(fact, { subject, body: "null", expected: 0, keepSeconds: endedSeconds }, isFiring);
      }),
    end: async ({ name, id, key }) =>
      await tried(async () => {
        const fact = await log.last(subjectOf(name));
        if (fact && timerOf(fact)?.id === id) {
          const body = JSON.stringify({ ended: key } satisfies Kept);
          const { subject, position: expected } = fact;
          await log.append([{ subject, body, expected, keepSeconds: endedSeconds }]);
          return;
        }
        const aside = await log.last(asideOf(id));
        if (aside === undefined || aside.body === "null") return;
        const { subject, position: expected } = aside;
        await log.append([{ subject, body: "null", expected, keepSeconds: endedSeconds }]);
      }),
  };
}
