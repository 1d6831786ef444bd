// A change: read what is known, decide, append under the condition that what was known still holds; else look again.
// In: subjects, and a pure decision over their facts. Out: what was appended and where. Never: a refusal based on something stale.
import { Refusal } from "../core/refusal.ts";
import type { Heads } from "../store/heads.ts";
import { type Append, Conflict, type Fact, LogUnavailable } from "../store/log.ts";

export interface Decision<T> {
  readonly appends: readonly Append[];
  readonly outcome: T;
}

export interface Changed<T> {
  readonly outcome: T;
  /** The position of the first append; the others are its neighbours. 0 when nothing had to be appended. */
  readonly first: number;
}

export type Known = ReadonlyMap<string, Fact | undefined>;

/** Each round is lost only to somebody else's success, so that many rounds mean much progress elsewhere. */
const roundsMax = 200;

export interface Wish<T> {
  /** Subjects that the decision may append to. */
  readonly writes: readonly string[];
  /** Subjects that it only looks at. */
  readonly reads?: readonly string[];
  /** May be asked again with newer facts. */
  readonly decide: (known: Known) => Decision<T>;
  /** Brings a fact up to date before the decision, such as by ending its leases. */
  readonly prepare?: (fact: Fact) => Promise<Fact | undefined>;
}

export interface Changes {
  change<T>(wish: Wish<T>): Promise<Changed<T>>;
}

export function openChanges(heads: Heads): Changes {
  const tails = new Map<string, Promise<void>>();

  async function change<T>(wish: Wish<T>): Promise<Changed<T>> {
    const { writes, reads = [], decide, prepare = async (fact) => fact } = wish;
    const subjects = [...writes, ...reads];
    await using _turn = await takeTurn(writes);
    let fresh = false;
    for (let round = 0; round < roundsMax; round++) {
      const known = await look(subjects, fresh, prepare);
      try {
        const { appends, outcome } = decide(known);
        // "Nothing to do" must be true, not merely believed: no condition holds what is not appended to.
        if (!fresh && writes.some((subject) => !appends.some((append) => append.subject === subject))) {
          fresh = true;
          continue;
        }
        const first = appends.length === 0 ? 0 : await heads.append(appends);
        return { outcome, first };
      } catch (error) {
        // A refusal must rest on the log itself, not on what this broker remembers of it.
        if (!(error instanceof Conflict) && (fresh || !(error instanceof Refusal))) throw error;
        fresh = true;
      }
    }
    throw new LogUnavailable("others kept changing the same property");
  }

  async function look(
    subjects: readonly string[],
    fresh: boolean,
    prepare: (fact: Fact) => Promise<Fact | undefined>,
  ): Promise<Known> {
    const known = new Map<string, Fact | undefined>();
    const facts = await Promise.all(
      subjects.map(async (subject) => {
        const fact = await (fresh ? heads.refresh(subject) : heads.get(subject));
        return fact && (await prepare(fact));
      }),
    );
    for (const [index, subject] of subjects.entries()) known.set(subject, facts[index]);
    return known;
  }

  /** Changes of one subject through this broker go one after the other, instead of failing against each other. */
  async function takeTurn(subjects: readonly string[]): Promise<AsyncDisposable> {
    const turn = Promise.withResolvers<void>();
    const before: Promise<void>[] = [];
    for (const subject of subjects) {
      const tail = tails.get(subject);
      if (tail !== undefined) before.push(tail);
      tails.set(subject, turn.promise);
    }
    if (before.length > 0) await Promise.all(before);
    return {
      async [Symbol.asyncDispose]() {
        for (const subject of subjects) if (tails.get(subject) === turn.promise) tails.delete(subject);
        turn.resolve();
      },
    };
  }

  return { change };
}
