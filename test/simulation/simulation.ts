// The simulation: brokers on one log over bad networks, clients and watchers, and a clock that jumps; all by one seed.
// In: a seed and a number of commands. Out: what happened, or a throw that names the seed and the broken promise. Never: real time or real chance.
import { crowdLimits } from "../../services/property/crowds.ts";
import { LogUnavailable, OutcomeUnknown } from "../../services/store/log.ts";
import { nodes, openClients, principals } from "./client.ts";
import { type Attempt, perform } from "./command.ts";
import { blackout, calm, storm, type Weather } from "./faulty-log.ts";
import { openJudge } from "./judge.ts";
import { type Random, seeded } from "./random.ts";
import { openSimulatedBroker, type SimulatedBroker } from "./simulated-broker.ts";
import { openSimulatedWatcher, type SimulatedWatcher } from "./simulated-watcher.ts";
import { openTape } from "./tape.ts";
import { pause, type SimulatedTime, simulateTime } from "./time.ts";
import { lateMsMax, openTruth } from "./truth.ts";

export interface Report {
  readonly commands: number;
  readonly effects: number;
  readonly ends: number;
  /** Of those, such as one fact ended with others. */
  readonly crowded: number;
  readonly latestMs: number;
  readonly unknown: number;
  readonly deliveries: number;
  readonly restarts: number;
  readonly days: number;
  readonly tape: number;
}

const startMs = Date.UTC(2026, 0, 1);
const day = 24 * 3600 * 1000;
const inFlightMax = 16;
/** Everything that is on its way has arrived by then: late appends, stalled reads, slow feeds. */
const quietMs = 40_000;
/** Longer than any lease here, and than the log keeps tombstones. */
const leaseMsMax = 4 * day;
const resumeMs = 8 * day;
/** As long as a cluster may be without a leader. */
const blackoutMs = 9_000;
/** A command that takes longer, when nothing fails, has hung. */
const hungMs = 300_000;

export async function simulate(seed: number, commands: number): Promise<Report> {
  const random = seeded(seed);
  using time = simulateTime(startMs, random.chance(0.5) ? 0 : 0.37);
  const run = openRun(random, time);
  try {
    await run.start();
    for (let done = 0; done < commands; ) {
      const stormy = 100 + random.int(300);
      done += await run.phase(storm, Math.min(stormy, commands - done));
      await run.quiet();
      done += await run.phase(calm, Math.min(50 + random.int(100), commands - done));
      await run.quiet();
      if (random.chance(0.3)) await run.vacation();
    }
    return await run.stop();
  } catch (error) {
    throw new Error(`TIDINGS_TEST_SEED=${seed}: ${(error as Error).message}`, { cause: error });
  }
}

function openRun(random: Random, time: SimulatedTime) {
  const { now } = time;
  const violations: string[] = [];
  const violate = (message: string): void => void violations.push(message);
  const tape = openTape(now);
  const truth = openTruth(tape, violate);
  const judge = openJudge(truth, violate);
  const clients = openClients(random.fork(), truth, now);
  const running = new Set<Attempt>();
  const counts = { commands: 0, unknown: 0, restarts: 0 };
  let weather: Weather = calm;

  // Every lease a crowd.
  const crowds = {
    togetherMs: 40,
    from: 1,
    aheadMs: 300,
    markedBeforeMs: 40,
    markedAtOnce: 3,
  };
  const settings = [
    { commits: "grouped", headsBytesMax: 1_000_000, crowds: crowdLimits },
    { commits: "single", headsBytesMax: 1_000_000, crowds },
    { commits: "grouped", headsBytesMax: 1_500, crowds },
  ] as const;
  const brokers = settings.map((_, index) => openBroker(index));
  /** Those that are catching up after a restart. */
  const starting = new Set<SimulatedBroker>();
  const watchers = [...principals, ...principals].map((who) =>
    openSimulatedWatcher(
      who,
      nodes.filter(({ local }) => local === who.address.local),
      truth,
      now,
      violate,
    ),
  );

  function openBroker(index: number): SimulatedBroker {
    return openSimulatedBroker({
      ...(settings[index] as (typeof settings)[number]),
      keeper: `broker${index}.${counts.restarts}`,
      network: { tape, random: random.fork(), weather: () => weather, violate, onAppend: truth.sign },
      now,
    });
  }

  function check(): void {
    const [first] = violations;
    if (first === undefined) return;
    throw new Error(`after ${counts.commands} commands, tape ${tape.position}, ${now()} ms:\n${first}`);
  }

  async function step(ms: number): Promise<void> {
    await time.advance(ms);
    check();
  }

  async function until(isDone: () => boolean, what: string): Promise<void> {
    for (let waitedMs = 0; !isDone(); waitedMs += 20) {
      if (waitedMs > hungMs) throw new Error(`${what} hangs`);
      await step(20);
    }
  }

  function ready(): readonly SimulatedBroker[] {
    return brokers.filter((broker) => !starting.has(broker));
  }

  function launch(command = clients.next()): void {
    const broker = random.pick(ready());
    const attempt: Attempt = {
      number: ++counts.commands,
      command,
      broker: broker.keeper,
      startMs: now(),
      start: tape.position,
      outcome: "running",
    };
    running.add(attempt);
    perform(broker.properties, attempt).then(
      (answer) => running.delete(attempt) && judge.answered(attempt, answer),
      (error) => {
        if (!running.delete(attempt)) return;
        judge.failed(attempt, error);
        if (attempt.outcome === "unknown") counts.unknown++;
      },
    );
  }

  async function restart(): Promise<void> {
    const index = random.int(brokers.length);
    const old = brokers[index] as SimulatedBroker;
    if (starting.size > 0) return;
    for (const attempt of running) {
      if (attempt.broker !== old.keeper) continue;
      running.delete(attempt);
      attempt.outcome = "unknown";
      counts.unknown++;
    }
    for (const watcher of watchers) if (watcher.broker === old) watcher.cut(random.pick([0, 0.5, 1]));
    const killing = old.kill();
    await until(() => true, "a kill");
    await killing;
    counts.restarts++;
    const fresh = openBroker(index);
    brokers[index] = fresh;
    starting.add(fresh);
    void (async () => {
      while (!(await caughtUp(fresh))) await pause(100);
      starting.delete(fresh);
    })();
  }

  async function moveClock(): Promise<void> {
    const roll = random.int(1000);
    if (roll < 550) return await time.settle();
    if (roll < 850) return await step(random.int(30));
    if (roll < 940) return await step(Math.max(nextDeadline() - now() + random.pick([-1, 0, 0, 1]), 0));
    if (roll < 993) return await step(random.int(3_000));
    if (roll < 998) return await step(random.int(3_600_000));
    await step(random.int(4 * day));
  }

  /** The nearest deadline to come, if it is near. */
  function nextDeadline(): number {
    let next = now() + 10_000;
    for (const state of truth.states.values()) {
      for (const { lease } of state.views.values()) {
        if (lease && lease.untilMs > now() && lease.untilMs < next) next = lease.untilMs;
      }
    }
    return next;
  }

  function useWatcher(watcher: SimulatedWatcher): void {
    if (watcher.broker === undefined) watcher.join(random.pick(ready()));
    else if (random.chance(0.08)) watcher.cut(random.pick([0, 0.2, 0.5, 0.8, 1]));
    else watcher.read();
  }

  async function phase(outside: Weather, size: number): Promise<number> {
    weather = outside;
    if (outside === storm) truth.hurry(Number.POSITIVE_INFINITY);
    for (let done = 0; done < size; done++) {
      launch();
      await moveClock();
      check();
      useWatcher(random.pick(watchers));
      // More often in a calm, where the others must end the leases of the dead in time.
      if (random.chance(outside === calm ? 0.02 : 0.004)) await restart();
      if (outside === storm && random.chance(0.01)) {
        weather = blackout;
        await step(random.int(blackoutMs));
        weather = outside;
      }
      if (random.chance(0.01)) await tape.forget();
      while (running.size > inFlightMax) await step(5);
    }
    return size;
  }

  /** No new commands, and nothing fails: all must come to rest, and be one truth. */
  async function quiet(): Promise<void> {
    weather = calm;
    await until(() => running.size === 0, `a command: ${[...running].map(({ number }) => number)}`);
    await until(() => starting.size === 0, "the start of a broker");
    await step(quietMs);
    truth.hurry(now());
    for (let round = 0; round < 3; round++) {
      for (const watcher of watchers) {
        // Once more for whoever was refused; and a snapshot goes on when what there was of it has been read.
        if (watcher.broker === undefined) watcher.join(random.pick(brokers));
        watcher.read();
      }
      await step(lateMsMax);
    }
    for (const watcher of watchers) watcher.requireComplete();
    const end = await tape.end();
    for (const broker of brokers) requireAtRest(broker, end);
    check();
    truth.hurry(now());
  }

  /** So long that every lease ends and the log forgets; then a broker must find its way in what is left. */
  async function vacation(): Promise<void> {
    await step(leaseMsMax);
    launch(clients.farewell());
    await quiet();
    await step(resumeMs);
    for (const watcher of watchers) watcher.read();
    await tape.forget();
    await restart();
    await quiet();
  }

  function requireAtRest({ keeper, properties, follower }: SimulatedBroker, end: number): void {
    const leased = [...truth.states.values()].filter(({ views }) =>
      [...views.values()].some(({ lease }) => lease),
    );
    if (properties.leased() !== leased.length)
      violate(`${keeper} knows ${properties.leased()} leased properties, there are ${leased.length}`);
    if (follower.position < end) violate(`${keeper} has only come to ${follower.position} of ${end}`);
    for (const [subject, { views }] of truth.states) {
      for (const { lease } of views.values()) {
        if (lease && lease.untilMs <= now() - lateMsMax) violate(`P8: nobody ended a lease on ${subject}`);
      }
    }
  }

  return {
    async start(): Promise<void> {
      const [first] = brokers as [SimulatedBroker];
      let created = 0;
      void (async () => {
        for (const node of nodes) {
          await first.properties.nodes.create(node, "person");
          created++;
        }
      })();
      await until(() => created === nodes.length, "the creation of nodes");
    },
    phase,
    quiet,
    vacation,
    async stop(): Promise<Report> {
      for (const watcher of watchers) watcher.cut(0);
      for (const broker of brokers) await broker.kill();
      check();
      const { effects, ends, crowded, latestMs } = truth.counts;
      const deliveries = watchers.reduce((sum, watcher) => sum + watcher.deliveries, 0);
      const days = Math.round((now() - startMs) / day);
      return { ...counts, effects, ends, crowded, latestMs, deliveries, days, tape: tape.position };
    },
  };
}

async function caughtUp({ follower }: SimulatedBroker): Promise<boolean> {
  try {
    await follower.caughtUp();
    return true;
  } catch (error) {
    if (error instanceof LogUnavailable || error instanceof OutcomeUnknown) return false;
    throw error;
  }
}
