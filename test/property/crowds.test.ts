// Crowds against a store and clocks that are not kind: what one fact ends stays ended, and what none ended is ended one by one.
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { makeAddress } from "../../services/core/address.ts";
import { encodeProperty } from "../../services/core/fact.ts";
import { setView, visible } from "../../services/core/property.ts";
import { withLeavings } from "../../services/property/crowd-facts.ts";
import type { CrowdLimits } from "../../services/property/crowds.ts";
import { openLeases } from "../../services/property/leases.ts";
import { groupCommit, type Unit } from "../../services/store/commit.ts";
import { stateOf } from "../../services/store/decoded.ts";
import { follow } from "../../services/store/follower.ts";
import { openHeads } from "../../services/store/heads.ts";
import { Conflict, type Fact, type Log } from "../../services/store/log.ts";
import { type MemoryLog, openMemoryLog } from "../../services/store/memory.ts";
import { subjectOf } from "../../services/store/subjects.ts";

const domain = "example.com";
const alice = makeAddress("alice", domain);
const crowds: CrowdLimits = { togetherMs: 32, from: 3, aheadMs: 800, markedBeforeMs: 100, markedAtOnce: 500 };
const offline = { status: "offline" };

describe.concurrent("crowds", () => {
  test("P8: what its dead leader left is ended by another broker, also where a cluster refuses an end for nothing", async () => {
    const log = openMemoryLog();
    const shared = clustered(log);
    const count = 600;
    const { subjects, untilMs } = await grant(log, count, 1_500);
    const leader = openBroker(shared, { keeper: "a" });
    const other = openBroker(shared, { keeper: "b" });
    await at(untilMs - 100);
    const marked = (await states(log, subjects)).filter(({ crowd }) => crowd !== undefined);
    expect(marked).toHaveLength(count);
    await leader.kill();
    await at(untilMs + 250 + 3_000);
    const left = (await states(log, subjects)).filter(({ views }) => views.size > 0);
    await other.kill();
    expect(left.length, "leases that nobody ends any more").toBe(0);
  });

  test("P8, P2: what a crowd's end has ended stays ended, however long all brokers were down", async () => {
    const log = openMemoryLog();
    const { subjects, untilMs } = await grant(log, 5, 1_500);
    const leader = openBroker(log, { keeper: "a" });
    await at(untilMs + 300);
    const ended = (await leader.settled(subjects[0] as string)) as Fact;
    const { revision } = stateOf(ended);
    expect(visible(stateOf(ended))?.value).toEqual(offline);
    // Killed before it is written out, a second after; back more than an hour later.
    await leader.kill();
    const downMs = 3_700_000;
    log.forget(Date.now() + downMs);
    const again = openBroker(log, { keeper: "a", now: () => Date.now() + downMs });
    await again.follower.caughtUp();
    await delay(1_500);
    const after = await states(log, subjects);
    await again.kill();
    expect(after.map((state) => state.revision)).toEqual(subjects.map(() => revision));
  });

  test("P2: a broker whose feed is late and whose clock is behind does not show what has ended", async () => {
    const log = openMemoryLog();
    const { subjects, untilMs } = await grant(log, 5, 1_500);
    const leader = openBroker(log, { keeper: "a" });
    const late = gated(log);
    // 200 ms behind.
    const other = openBroker(late.log, { keeper: "b", now: () => Date.now() - 200 });
    await at(untilMs - 50);
    await other.follower.caughtUp();
    late.close();
    await at(untilMs + 60);
    const told = await leader.settled(subjects[0] as string);
    const read = other.settled(subjects[0] as string);
    const first = await Promise.race([read, delay(50, "waits" as const)]);
    late.open();
    const found = first === "waits" ? await read : first;
    await leader.kill();
    await other.kill();
    expect(visible(stateOf(told as Fact))?.value).toEqual(offline);
    expect(visible(stateOf(found as Fact))?.value).toEqual(offline);
  });
});

function openBroker(log: Log, { keeper, now = Date.now }: { keeper: string; now?: () => number }) {
  const follower = follow(log);
  const known = openHeads(log, 100_000_000, now);
  const following = follower.listen({ take: known.follow });
  const heads = {
    ...known,
    append: (facts: Parameters<Log["append"]>[0]) => known.append(withLeavings(domain, facts)),
  };
  const leases = openLeases({ domain, log, heads, follower, now, keeper, crowds, onTrouble: console.log });
  return {
    follower,
    async settled(subject: string) {
      const fact = await log.last(subject);
      return fact && (await leases.settleSurely(fact));
    },
    async kill() {
      leases[Symbol.dispose]();
      following[Symbol.dispose]();
      await follower[Symbol.asyncDispose]();
    },
  };
}

async function grant(log: Log, count: number, ms: number) {
  const nowMs = Date.now();
  const wish = { view: "", value: { status: "online" }, by: alice.text };
  const lease = { id: "l", seconds: ms / 1000, default: offline };
  const state = setView(undefined, { ...wish, lease }, nowMs, "a");
  const subjects = Array.from({ length: count }, (_, n) => subjectOf(alice, "property", `p.${n}`));
  await log.append(subjects.map((subject) => ({ subject, body: encodeProperty(state), expected: 0 })));
  return { subjects, untilMs: state.views.get("")?.lease?.untilMs as number };
}

async function states(log: Log, subjects: readonly string[]) {
  const facts = await Promise.all(subjects.map((subject) => log.last(subject)));
  return facts.map((fact) => stateOf(fact as Fact));
}

async function at(atMs: number): Promise<void> {
  await delay(Math.max(0, atMs - Date.now()));
}

/** As three servers do it: what relies on a subject that another proposal still on its way relies on is refused (expectedPerSubjectInProcess). */
function clustered(log: MemoryLog): Log {
  const inProcess = new Set<string>();
  async function propose(units: readonly Unit[]): Promise<number> {
    await delay(1);
    const facts = units.flatMap((unit) => unit.facts);
    const subjects = new Set(facts.map(({ subject, of = subject }) => of));
    for (const subject of subjects)
      if (inProcess.has(subject)) throw new Conflict(`${subject} is in process`);
    for (const subject of subjects) inProcess.add(subject);
    try {
      await delay(2);
      return await log.append(facts);
    } finally {
      for (const subject of subjects) inProcess.delete(subject);
    }
  }
  const writer = {
    single: (unit: Unit) => propose([unit]),
    batch: propose,
    find: async () => undefined,
    overtaken: async () => new Set<Unit>(),
  };
  return { ...log, append: groupCommit(writer).append };
}

/** The same log, with a feed that can be kept waiting. */
function gated(log: Log) {
  let gate: PromiseWithResolvers<void> | undefined;
  return {
    close: () => void (gate = Promise.withResolvers()),
    open: () => gate?.resolve(),
    log: {
      ...log,
      async *feed(after: number, signal: AbortSignal) {
        for await (const facts of log.feed(after, signal)) {
          await gate?.promise;
          yield facts;
        }
      },
    } satisfies Log,
  };
}
