// Group commit over a bus that loses answers, doubles, stalls and refuses batches, by seed: every append has the effect that its answer names.
import { expect, it } from "vitest";
import { groupCommit } from "../../services/store/commit.ts";
import { type CommitLimits, commitLimits } from "../../services/store/commit-limits.ts";
import { type Append, Conflict, LogUnavailable, OutcomeUnknown } from "../../services/store/log.ts";
import { faultyWriter, storm } from "./faulty-log.ts";
import { type Random, seeded, seedsOfRun } from "./random.ts";
import { openTape, type Tape } from "./tape.ts";
import { type SimulatedTime, simulateTime } from "./time.ts";

const full = process.env.TIDINGS_TEST_FULL === "1";
const subjects = ["t.a", "t.b", "t.c", "t.d", "t.e", "t.f", "t.g", "t.h"];
const inFlightMax = 30;

type Answer = "waiting" | "done" | "conflict" | "unavailable" | "unknown";

interface Sent {
  readonly facts: readonly Append[];
  readonly effects: number[];
  answer: Answer;
}

for (const seed of seedsOfRun(5, 20)) {
  it(`tells the truth about each append by seed ${seed}`, async () => {
    console.info(`TIDINGS_TEST_SEED=${seed}`);
    const random = seeded(seed);
    using time = simulateTime(Date.UTC(2026, 0, 1), 0);
    const answers = await run(random, time, full ? 10_000 : 2_000, `TIDINGS_TEST_SEED=${seed}`);
    for (const answer of ["done", "conflict", "unavailable", "unknown"] as const)
      expect(answers.get(answer), answer).toBeGreaterThan(0);
  });
}

async function run(
  random: Random,
  time: SimulatedTime,
  appends: number,
  name: string,
): Promise<ReadonlyMap<Answer, number>> {
  const violations: string[] = [];
  const violate = (message: string): void => void violations.push(message);
  const tape = openTape(time.now);
  const network = { tape, random: random.fork(), weather: () => storm, violate };
  const commit = groupCommit(faultyWriter(network), limits(random), time.now);
  const all: Sent[] = [];
  const owners = new Map<string, Sent>();
  const histories = new Map(subjects.map((subject) => [subject, [0]]));
  let waiting = 0;

  tape.listen(({ first, facts }) => {
    const owner = owners.get(facts[0]?.body ?? "");
    owner?.effects.push(first);
    for (const { subject, position, body } of facts) {
      histories.get(subject)?.push(position);
      if (owners.get(body) !== owner) violate(`${body} was applied with the facts of another append`);
    }
    if (owner === undefined || owner.facts.length !== facts.length)
      violate(`half an append lies at ${first}`);
  });

  /** A few subjects, mostly on the condition that holds. */
  function next(): readonly Append[] {
    const chosen = subjects.filter(() => random.chance(0.2));
    if (chosen.length === 0) return next();
    return chosen.map((subject, index) => {
      const positions = histories.get(subject) as number[];
      const expected = random.chance(0.9) ? (positions.at(-1) as number) : random.pick(positions);
      return { subject, body: `${all.length}.${index}`, expected };
    });
  }

  function send(): void {
    const sent: Sent = { facts: next(), effects: [], answer: "waiting" };
    const before = new Map(sent.facts.map(({ subject }) => [subject, histories.get(subject)?.length ?? 0]));
    all.push(sent);
    for (const { body } of sent.facts) owners.set(body, sent);
    waiting++;
    commit
      .append(sent.facts)
      .then(
        (position) => {
          sent.answer = "done";
          if (sent.effects[0] !== position)
            violate(`answered ${position}, lies at ${sent.effects}: ${spell(sent)}`);
        },
        (error) => {
          sent.answer = answerOf(error, violate);
          if (sent.answer === "conflict" && !isContested(sent, before))
            violate(`nobody was first: ${spell(sent)}`);
        },
      )
      .finally(() => waiting--);
  }

  /** Whether some condition did not hold at some time since it was sent. */
  function isContested({ facts }: Sent, before: ReadonlyMap<string, number>): boolean {
    return facts.some(({ subject, expected }) => {
      const positions = histories.get(subject) as number[];
      return positions.slice((before.get(subject) as number) - 1).some((position) => position !== expected);
    });
  }

  for (let sent = 0; sent < appends; sent++) {
    send();
    if (random.chance(0.4)) await time.advance(random.int(20));
    while (waiting > inFlightMax) await time.advance(5);
    if (violations.length > 0) break;
  }
  // Whatever is still on its way arrives.
  await time.advance(120_000);
  for (const sent of all) requireEffects(sent, violate);
  if (commit.pending() !== 0) violate(`${commit.pending()} facts are counted as waiting, none is`);
  requireLast(tape, await tape.snapshot(["t.>"]), violate);
  expect(violations.slice(0, 3), name).toEqual([]);
  return countBy(all);
}

/** One effect where one was promised, none where none was, one at most where nobody knows. */
function requireEffects(sent: Sent, violate: (message: string) => void): void {
  const { answer, effects } = sent;
  const fits =
    answer === "done"
      ? effects.length === 1
      : answer === "unknown"
        ? effects.length <= 1
        : effects.length === 0;
  if (!fits || answer === "waiting") violate(`answered ${answer}, lies at [${effects}]: ${spell(sent)}`);
}

function requireLast(
  tape: Tape,
  { facts }: Awaited<ReturnType<Tape["snapshot"]>>,
  violate: (message: string) => void,
): void {
  for (const { subject, position, body } of facts) {
    const group = tape.unitAt(position);
    if (!group?.facts.some((fact) => fact.subject === subject && fact.body === body))
      violate(`the log holds ${body} at ${position}, the tape does not`);
  }
}

function answerOf(error: unknown, violate: (message: string) => void): Answer {
  if (error instanceof Conflict) return "conflict";
  if (error instanceof LogUnavailable) return "unavailable";
  if (!(error instanceof OutcomeUnknown)) violate(`an error that the port does not know: ${error}`);
  return "unknown";
}

function limits(random: Random): CommitLimits {
  return {
    batchFrom: random.pick([1, 3, commitLimits.batchFrom]),
    batchMax: random.pick([2, 6, commitLimits.batchMax]),
    batchesInFlightMax: random.pick([1, 2, 4]),
    halvedFrom: random.pick([2, 8, commitLimits.halvedFrom]),
    singlesInFlightMax: random.pick([1, 3, commitLimits.singlesInFlightMax]),
    waitingMax: random.pick([40, 1_000]),
    patienceMs: random.pick([600, 2_500]),
  };
}

function countBy(all: readonly Sent[]): ReadonlyMap<Answer, number> {
  return new Map(
    [...Map.groupBy(all, ({ answer }) => answer)].map(([answer, sent]) => [answer, sent.length]),
  );
}

function spell({ facts, answer }: Sent): string {
  return `${answer} ${JSON.stringify(facts)}`;
}
