// A log that fails, doubles, stalls and loses answers, by seed: what a broker sees of a tape over a bad network.
// In: a tape, chance, the weather. Out: a Log, or the Writer under a group commit. Never: a fault that the port does not allow.
import assert from "node:assert/strict";
import { groupCommit, type Unit, type Writer } from "../../services/store/commit.ts";
import type { CommitLimits } from "../../services/store/commit-limits.ts";
import {
  type Append,
  Conflict,
  type Fact,
  type Log,
  LogUnavailable,
  OutcomeUnknown,
} from "../../services/store/log.ts";
import type { Random } from "./random.ts";
import type { Tape } from "./tape.ts";
import { pause } from "./time.ts";

/** How bad it is: chances, and ms. */
export interface Weather {
  /** One way, at most. */
  readonly wayMs: number;
  readonly stall: number;
  readonly stallMs: number;
  /** Refused before it is applied. */
  readonly fail: number;
  /** Applied, but the answer is lost. */
  readonly lose: number;
  /** Given up by the sender, and applied later. */
  readonly late: number;
  readonly lateMs: number;
  /** Delivered twice. */
  readonly double: number;
  /** A batch is refused although each of its units would have passed. */
  readonly refuse: number;
  readonly feedMs: number;
  /** The feed leaves out what a later fact replaced. */
  readonly replace: number;
}

export const calm: Weather = {
  wayMs: 3,
  stall: 0,
  stallMs: 0,
  fail: 0,
  lose: 0,
  late: 0,
  lateMs: 0,
  double: 0.02,
  refuse: 0,
  feedMs: 6,
  replace: 0.2,
};
export const storm: Weather = {
  wayMs: 40,
  stall: 0.05,
  stallMs: 3_000,
  fail: 0.06,
  lose: 0.06,
  late: 0.04,
  lateMs: 20_000,
  double: 0.1,
  refuse: 0.1,
  feedMs: 300,
  replace: 0.5,
};
/** No leader: nothing is taken, nothing is read. */
export const blackout: Weather = { ...storm, fail: 1 };

export interface Network {
  readonly tape: Tape;
  readonly random: Random;
  readonly weather: () => Weather;
  /** A process that was killed hears no answer any more; what it had sent may still arrive. */
  readonly isDead?: () => boolean;
  readonly violate: (message: string) => void;
  /** Sees every append as it is called. */
  readonly onAppend?: (facts: readonly Append[]) => void;
}

/** How long a sender waits for an answer. */
const timeoutMs = 1_000;
/** Small, so that a handful of commands fills batches. */
const smallLimits: CommitLimits = {
  batchFrom: 3,
  batchMax: 6,
  batchesInFlightMax: 2,
  halvedFrom: 4,
  singlesInFlightMax: 3,
  waitingMax: 1_000,
  patienceMs: 2_500,
};

export function faultyWriter(network: Network): Writer {
  const { tape, random, weather, violate, isDead = () => false } = network;

  async function deliver(units: readonly Unit[]): Promise<number> {
    const { fail, late, lateMs, double, lose, refuse } = weather();
    if (random.chance(late)) {
      void arriveLate(units, random.int(lateMs));
      await pause(timeoutMs);
      await alive(network);
      throw new OutcomeUnknown("seeded: no answer, and the append is still on its way");
    }
    await pause(way(network));
    if (isDead() && random.chance(0.5)) await lost();
    if (random.chance(fail)) {
      await back(network);
      throw new LogUnavailable("seeded: not applied");
    }
    if (units.length > 1 && random.chance(refuse)) {
      await back(network);
      throw new Conflict("seeded: the batch is refused");
    }
    try {
      const position = await tape.apply(units);
      if (random.chance(double)) void arriveTwice(units, way(network));
      await back(network);
      if (random.chance(lose)) throw new OutcomeUnknown("seeded: the answer is lost");
      return position;
    } catch (error) {
      if (!(error instanceof Conflict)) throw error;
      await back(network);
      if (random.chance(lose)) throw new OutcomeUnknown("seeded: the refusal is lost");
      throw error;
    }
  }

  async function arriveLate(units: readonly Unit[], ms: number): Promise<void> {
    await pause(ms);
    try {
      await tape.apply(units);
    } catch (error) {
      if (!(error instanceof Conflict)) throw error;
    }
  }

  async function arriveTwice(units: readonly Unit[], ms: number): Promise<void> {
    await pause(ms);
    try {
      const position = await tape.apply(units);
      violate(`what was delivered twice was applied twice, at ${position}: ${JSON.stringify(units)}`);
    } catch (error) {
      if (!(error instanceof Conflict)) throw error;
    }
  }

  return {
    single(unit) {
      assert.equal(unit.facts.length, 1);
      return deliver([unit]);
    },
    batch(units) {
      const facts = units.flatMap(({ facts }) => facts);
      const subjects = new Set(facts.map(({ subject }) => subject));
      // The server checks each condition against the time before the batch.
      assert.equal(subjects.size, facts.length, "a subject comes once in a batch");
      assert(!facts.some(({ of = "" }) => subjects.has(of)), "nothing relies on what is written beside it");
      return deliver(units);
    },
    async find(unit) {
      await there(network);
      for (const { subject } of unit.facts) {
        const fact = await tape.last(subject);
        const group = fact && tape.unitAt(fact.position);
        if (group?.unit.id === unit.id) return group.first;
      }
      await back(network);
      return undefined;
    },
    async overtaken(units) {
      await there(network);
      // What it reads may lag behind; but what it shows was so.
      if (random.chance(weather().refuse)) return new Set();
      const stale = new Set<Unit>();
      for (const unit of units) {
        for (const { subject, of = subject, expected } of unit.facts) {
          if (((await tape.last(of))?.position ?? 0) > expected) stale.add(unit);
        }
      }
      await back(network);
      return stale;
    },
  };
}

/** @param commits whether appends go through group commit, as on JetStream, or straight to the tape */
export function faultyLog(network: Network, commits: "grouped" | "single"): Log {
  const { tape, random, weather, onAppend = () => undefined } = network;
  const writer = faultyWriter(network);
  const commit = groupCommit(writer, smallLimits, Date.now);

  async function* feed(after: number, signal: AbortSignal): AsyncGenerator<readonly Fact[]> {
    const waiting: Fact[] = [];
    let wake: () => void = () => undefined;
    const stop = (): void => wake();
    signal.addEventListener("abort", stop);
    const reading = (async () => {
      for await (const facts of tape.feed(after, signal)) {
        waiting.push(...facts);
        wake();
      }
    })();
    while (!signal.aborted) {
      if (waiting.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      await pause(1 + random.int(weather().feedMs), signal);
      const batch = waiting.splice(0, 1 + random.int(waiting.length));
      const kept = random.chance(weather().replace) ? await lasting(batch) : batch;
      if (kept.length > 0 && !signal.aborted) yield kept;
    }
    await reading;
  }

  /** What the log still holds of these facts. */
  async function lasting(facts: readonly Fact[]): Promise<readonly Fact[]> {
    const last = await Promise.all(facts.map(({ subject }) => tape.last(subject)));
    return facts.filter(({ position }, index) => last[index]?.position === position);
  }

  async function read<T>(act: () => Promise<T>): Promise<T> {
    await there(network);
    const found = await act();
    await back(network);
    return found;
  }

  return {
    epoch: tape.epoch,
    append(facts) {
      onAppend(facts);
      return commits === "grouped" ? commit.append(facts) : writer.batch([{ id: "", facts }]);
    },
    last: (subject) => read(() => tape.last(subject)),
    snapshot: (...asked) => read(() => tape.snapshot(...asked)),
    end: () => read(() => tape.end()),
    lastGiven: () => read(() => tape.lastGiven()),
    feed,
  };
}

function way({ random, weather }: Network): number {
  const { wayMs, stall, stallMs } = weather();
  return random.chance(stall) ? random.int(stallMs) : random.int(wayMs);
}

async function there(network: Network): Promise<void> {
  await pause(way(network));
  await alive(network);
  if (network.random.chance(network.weather().fail)) throw new LogUnavailable("seeded: not read");
}

async function back(network: Network): Promise<void> {
  await pause(way(network));
  await alive(network);
}

async function alive({ isDead = () => false }: Network): Promise<void> {
  if (isDead()) await lost();
}

function lost(): Promise<never> {
  return new Promise(() => undefined);
}
