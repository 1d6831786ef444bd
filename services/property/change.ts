// A change: read what is known, decide, append under the condition that what was known still holds; else look again.
// In: subjects, and a pure decision over their facts. Out: what was appended and where. Never: a refusal based on something stale.
import { Refusal } from "../core/refusal.ts";
import { after, all, type Soon } from "../core/soon.ts";
import type { Follower } from "../store/follower.ts";
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
/** Nobody waits for longer behind others while nothing goes through. */
const stalledMs = 1_700;
const lookMs = 100;

export interface Wish<T> {
  /** Subjects that the decision may append to. */
  readonly writes: readonly string[];
  /** Subjects that it only looks at. */
  readonly reads?: readonly string[];
  /** May be asked again with newer facts. */
  readonly decide: (known: Known) => Decision<T>;
  /**
   * Brings a fact up to date before the decision, such as by ending its leases.
   * @param isFresh it was read from the log: a refusal may rest on it
   */
  readonly prepare?: (fact: Fact, isFresh: boolean) => Soon<Fact | undefined>;
}

export interface Changes {
  change<T>(wish: Wish<T>): Promise<Changed<T>>;
}

export function openChanges(heads: Heads, follower: Pick<Follower, "caughtUp">): Changes {
  const turns = new Map<string, Turn>();
  /** When a change last went through, whatever it was about. */
  let movedMs = 0;

  async function change<T>(wish: Wish<T>): Promise<Changed<T>> {
    const { writes, reads = [], decide, prepare = (fact) => fact } = wish;
    const subjects = reads.length === 0 ? writes : [...writes, ...reads];
    const turn = new Turn();
    const ahead = takeTurn(writes, turn);
    let before = ahead.length > 0 ? Promise.all(ahead) : undefined;
    const leave = (): void => {
      for (const subject of writes) if (turns.get(subject) === turn) turns.delete(subject);
      turn.end();
    };
    try {
      if (before) await inTurn(before);
      before = undefined;
      let fresh = false;
      for (let round = 0; round < roundsMax; round++) {
        const known = await look(subjects, fresh, prepare);
        let leaves = false;
        try {
          const { appends, outcome } = decide(known);
          // "Nothing to do" must be true, not merely believed: no condition holds what is not appended to.
          if (!fresh && writes.some((subject) => !appends.some((append) => append.subject === subject))) {
            fresh = true;
            continue;
          }
          leaves = appends.some((append) => append.leaves !== undefined);
          const first = appends.length === 0 ? 0 : await heads.append(appends);
          movedMs = performance.now();
          return { outcome, first };
        } catch (error) {
          // A refusal must rest on the log itself, not on what this broker remembers of it.
          if (!(error instanceof Conflict) && (fresh || !(error instanceof Refusal))) throw error;
          fresh = true;
          // That its crowd has ended, the feed will tell.
          if (leaves) await follower.caughtUp();
        }
      }
    } finally {
      // Whoever is refused before its turn keeps its place for those behind it.
      if (before) void before.then(leave);
      else leave();
    }
    throw new LogUnavailable("others kept changing the same property");
  }

  /** Whoever is before it may wait for a store that does not answer: then it is refused, instead of waiting as long again. */
  async function inTurn(before: Promise<unknown>): Promise<void> {
    const stalled = Promise.withResolvers<never>();
    const sinceMs = performance.now();
    const looking = setInterval(() => {
      if (performance.now() - Math.max(sinceMs, movedMs) < stalledMs) return;
      stalled.reject(new LogUnavailable("whoever changes the same property first gets no answer"));
    }, lookMs);
    try {
      await Promise.race([before, stalled.promise]);
    } finally {
      clearInterval(looking);
    }
  }

  function look(
    subjects: readonly string[],
    fresh: boolean,
    prepare: NonNullable<Wish<unknown>["prepare"]>,
  ): Soon<Known> {
    const facts = subjects.map((subject) =>
      after(fresh ? heads.refresh(subject) : heads.get(subject), (fact) => fact && prepare(fact, fresh)),
    );
    return after(all(facts), (found) => {
      const known = new Map<string, Fact | undefined>();
      for (const [index, subject] of subjects.entries()) known.set(subject, found[index]);
      return known;
    });
  }

  /** Changes of one subject through this broker go one after the other, instead of failing against each other. */
  function takeTurn(subjects: readonly string[], turn: Turn): Promise<void>[] {
    const before: Promise<void>[] = [];
    for (const subject of subjects) {
      const tail = turns.get(subject);
      if (tail !== undefined) before.push(tail.ended());
      turns.set(subject, turn);
    }
    return before;
  }

  return { change };
}

/** The time that one change has its subjects for itself. */
class Turn {
  readonly #waiting: (() => void)[] = [];

  ended(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  end(): void {
    for (const resolve of this.#waiting) resolve();
  }
}
