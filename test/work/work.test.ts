// Work divided over brokers: each item on one of those that live, its progress saved by whoever holds it.
import { connect } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openJetStreamLog } from "../../services/store/jetstream.ts";
import type { Append, Log } from "../../services/store/log.ts";
import { LogUnavailable } from "../../services/store/log.ts";
import { openMemoryLog } from "../../services/store/memory.ts";
import { type Claim, type Division, openWork, type Work } from "../../services/work/work.ts";
import { startIn, temporaryFolder, until } from "../store/embedded.ts";

const times = { everyMs: 50, deadMs: 800 };

interface Hand {
  readonly division: Division;
  readonly work: Work;
  /** What it works on now. */
  readonly busy: Map<string, Claim>;
  /** Cuts it off from the log, as a pulled cable would. */
  cut(): void;
  mend(): void;
}

for (const stage of ["memory", "jetstream"] as const) {
  describe(`work over ${stage}`, () => {
    const stack = new AsyncDisposableStack();
    let open: () => Promise<Log>;

    beforeAll(async () => {
      let logs = 0;
      if (stage === "memory") {
        open = async () => openMemoryLog();
        return;
      }
      const folder = stack.use(await temporaryFolder());
      const server = stack.use(await startIn(folder.path));
      const nc = await connect({ servers: server.url, token: server.token });
      stack.defer(async () => await nc.drain());
      open = async () => {
        const prefix = `w${++logs}`;
        const log = await openJetStreamLog(nc, { replicas: 1, stream: `work_${logs}`, prefix });
        return renamed(log, prefix);
      };
    });
    afterAll(async () => await stack[Symbol.asyncDispose]());

    it("gives each item to one of the brokers, and moves what another one left", async () => {
      const log = await open();
      const items = Array.from({ length: 30 }, (_, index) => `item ${index}`);
      await using first = await hand(log);
      await using second = await hand(log);
      for (const item of items) for (const { division } of [first, second]) division.add(item);
      await divided(first, second, items.length);
      await [...first.busy.values()][0]?.save("begun");
      const [begun] = first.busy.keys();
      await first.work[Symbol.asyncDispose]();
      await until("the other one to have all", () => second.busy.size === items.length);
      expect(second.busy.get(begun as string)?.progress).toBe("begun");
      await using third = await hand(log);
      for (const item of items) third.division.add(item);
      await until(
        "the new one to get its part",
        () => third.busy.size > 0 && second.busy.size + third.busy.size === 30,
      );
    });

    it("lets a broker that is cut off act no more before others take over", async () => {
      const log = await open();
      await using first = await hand(log);
      await using second = await hand(log);
      const items = Array.from({ length: 10 }, (_, index) => `item-${index}`);
      for (const item of items) for (const { division } of [first, second]) division.add(item);
      await divided(first, second, items.length);
      const [held] = [...first.busy.values()];
      first.cut();
      let both = 0;
      await until("the other one to have all", () => {
        for (const item of first.busy.keys()) if (second.busy.has(item)) both++;
        return second.busy.size === items.length;
      });
      expect(both).toBe(0);
      expect(held?.signal.aborted).toBe(true);
      await expect(held?.save("too late")).rejects.toThrow("worked on elsewhere");
      first.mend();
      await until(
        "it to have its part again",
        () => first.busy.size > 0 && first.busy.size + second.busy.size === 10,
      );
    });

    it("begins anew with what it is reset to, forgets what is removed, and tries again what failed", async () => {
      const log = await open();
      let fails = 1;
      await using only = await hand(log, () => {
        if (fails-- > 0) throw new Error("not yet");
      });
      only.division.add("one");
      await until("it to be tried again", () => only.busy.has("one"));
      await only.busy.get("one")?.save(1);
      await using other = await hand(log);
      other.division.add("one");
      await other.division.reset("one", () => 7);
      await until("it to begin anew", () =>
        [only, other].some(({ busy }) => busy.get("one")?.progress === 7),
      );
      expect(await other.division.progress("one")).toBe(7);
      const more = (present: unknown): number => Number(present) + 1;
      await Promise.all([only, other].map(async ({ division }) => await division.reset("one", more)));
      expect(await other.division.progress("one")).toBe(9);
      for (const { division } of [only, other]) division.remove("one");
      await until("it to be gone", () => only.busy.size + other.busy.size === 0);
      await until("it to be forgotten", async () => (await other.division.progress("one")) === undefined);
    });
  });
}

/** Each has some, and none is forgotten. */
async function divided(first: Hand, second: Hand, count: number): Promise<void> {
  await until("both to have their part", () => {
    const [one, other] = [first.busy.size, second.busy.size];
    return one > 0 && other > 0 && one + other === count;
  });
}

async function hand(log: Log, onBegin: () => void = () => undefined): Promise<Hand & AsyncDisposable> {
  let isCut = false;
  let mended = Promise.withResolvers<void>();
  mended.resolve();
  const through: Log = {
    ...log,
    append: async (facts: readonly Append[]) => {
      if (isCut) throw new LogUnavailable("the cable is pulled");
      return await log.append(facts);
    },
    async *feed(after, signal) {
      for await (const facts of log.feed(after, signal)) {
        await mended.promise;
        yield facts;
      }
    },
    last: async (subject) => {
      if (isCut) throw new LogUnavailable("the cable is pulled");
      return await log.last(subject);
    },
  };
  const busy = new Map<string, Claim>();
  const onTrouble = (): void => undefined;
  const work = await openWork({ domain: "localhost", log: through, isAlone: false, onTrouble, times });
  const division = work.divide("test", async (claim) => {
    onBegin();
    busy.set(claim.item, claim);
    await new Promise((resolve) => claim.signal.addEventListener("abort", resolve));
    busy.delete(claim.item);
  });
  return {
    division,
    work,
    busy,
    cut: () => {
      isCut = true;
      mended = Promise.withResolvers<void>();
    },
    mend: () => {
      isCut = false;
      mended.resolve();
    },
    async [Symbol.asyncDispose]() {
      mended.resolve();
      await work[Symbol.asyncDispose]();
    },
  };
}

/** Work names its subjects `w.…`; each log of this test has a prefix of its own. */
function renamed(log: Log, prefix: string): Log {
  const there = (subject: string): string => subject.replace(/^w\./, `${prefix}.`);
  const back = <One extends { subject: string }>(fact: One): One => ({
    ...fact,
    subject: fact.subject.replace(`${prefix}.`, "w."),
  });
  return {
    ...log,
    append: async (facts) =>
      await log.append(facts.map((fact) => ({ ...fact, subject: there(fact.subject) }))),
    last: async (subject) => {
      const fact = await log.last(there(subject));
      return fact && back(fact);
    },
    snapshot: async (filters) => {
      const { facts, position } = await log.snapshot(filters.map(there));
      return { facts: facts.map(back), position };
    },
    async *feed(after, signal) {
      for await (const facts of log.feed(after, signal)) yield facts.map(back);
    },
  };
}
