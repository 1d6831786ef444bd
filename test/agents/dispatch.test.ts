// The dispatcher: order per node, retries, dead letters, and progress that passes nothing which has not ended.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Dispatcher,
  type DispatcherOptions,
  type Mode,
  openDispatcher,
  type RunRecord,
} from "../../agents/dispatch.ts";
import { type FakeTime, openFakeTime, settled } from "../../agents/fake-time.ts";

interface Event {
  readonly id: string;
  readonly node: string;
  readonly hops: number;
}

const event = (id: string, node = "a@x", hops = 0): Event => ({ id, node, hops });
const minuteMs = 60_000;

interface Bench {
  readonly time: FakeTime;
  readonly dispatcher: Dispatcher<Event, number>;
  readonly records: RunRecord<Event>[];
  readonly progress: number[];
  ended(): string[];
}

function bench(options: Partial<DispatcherOptions<Event, number>>): Bench {
  const time = openFakeTime(0);
  const records: RunRecord<Event>[] = [];
  const progress: number[] = [];
  const dispatcher = openDispatcher<Event, number>({
    mode: "queued",
    handle: async () => "handled",
    onProgress: (cursor) => progress.push(cursor),
    onRun: (record) => records.push(record),
    timers: time.timers,
    now: time.now,
    random: () => 0.5,
    ...options,
  });
  const ended = () =>
    records.filter(({ state }) => state !== "failed").map(({ id, state }) => `${id} ${state}`);
  return { time, dispatcher, records, progress, ended };
}

/** A handler whose runs end when the test says so. */
function gates() {
  const open = new Map<string, { pass(): void; fail(error: Error): void; signal: AbortSignal }>();
  const handle = ({ id }: Event, _run: unknown, _attempt: number, signal: AbortSignal) =>
    new Promise<"handled">((resolve, reject) => {
      open.set(id, { pass: () => resolve("handled"), fail: reject, signal });
    });
  return { open, handle };
}

describe("a dispatcher", () => {
  it("handles events of one node one after the other, and of others meanwhile", async () => {
    const { open, handle } = gates();
    const { dispatcher, progress, ended } = bench({ handle });
    dispatcher.offer(event("1"), 1);
    dispatcher.offer(event("2"), 2);
    dispatcher.offer(event("3", "b@x"), 3);
    expect([...open.keys()]).toEqual(["1", "3"]);
    open.get("3")?.pass();
    await settled();
    expect([progress, dispatcher.waiting]).toEqual([[], 3]);
    open.get("1")?.pass();
    await settled();
    expect([progress, dispatcher.waiting]).toEqual([[1], 2]);
    open.get("2")?.pass();
    await dispatcher.idle();
    expect(progress).toEqual([1, 3]);
    expect(ended()).toEqual(["3 done", "1 done", "2 done"]);
  });

  it("runs no more at once than it may", async () => {
    const { open, handle } = gates();
    const { dispatcher } = bench({ handle, concurrency: 2 });
    for (const n of [1, 2, 3]) dispatcher.offer(event(`${n}`, `${n}@x`), n);
    expect([...open.keys()]).toEqual(["1", "2"]);
    open.get("2")?.pass();
    await settled();
    expect([...open.keys()]).toEqual(["1", "2", "3"]);
  });

  it("tries again with longer and longer waits, while later events of the node wait and others do not", async () => {
    const tried: string[] = [];
    const dead: RunRecord<Event>[] = [];
    const { time, dispatcher, records, progress } = bench({
      concurrency: 1,
      async handle({ id }) {
        tried.push(`${id} ${time.now()}`);
        if (id === "bad") throw new Error("no luck");
        return "handled";
      },
      onDead: (record) => void dead.push(record),
    });
    dispatcher.offer(event("bad"), 1);
    dispatcher.offer(event("next"), 2);
    dispatcher.offer(event("other", "b@x"), 3);
    await time.advanceTo(minuteMs);
    expect(tried).toEqual(["bad 0", "other 0", "bad 1000", "bad 6000", "bad 31000", "next 31000"]);
    expect(records.filter(({ id }) => id === "bad").map(({ state, attempts }) => [state, attempts])).toEqual([
      ["failed", 1],
      ["failed", 2],
      ["failed", 3],
      ["dead", 4],
    ]);
    expect(dead).toMatchObject([{ id: "bad", error: "Error: no luck", ms: 31_000 }]);
    expect(progress).toEqual([1, 3]);
  });

  it("goes on only when the dead letter is kept", async () => {
    let times = 0;
    const { time, dispatcher, progress } = bench({
      backoffMs: [],
      handle: () => Promise.reject(new Error("no")),
      onDead: () => (times++ === 0 ? Promise.reject(new Error("full")) : Promise.resolve()),
    });
    dispatcher.offer(event("1"), 1);
    await settled();
    expect([times, progress]).toEqual([1, []]);
    await time.advanceTo(minuteMs);
    expect([times, progress]).toEqual([2, [1]]);
  });

  it("ends an attempt whose time is up, though the handler does not", async () => {
    const { open, handle } = gates();
    const { time, dispatcher, records } = bench({ handle, timeLimitMs: 50, backoffMs: [100] });
    dispatcher.offer(event("1"), 1);
    await time.advanceTo(49);
    expect(records).toEqual([]);
    await time.advanceTo(50);
    expect(open.get("1")?.signal.aborted).toBe(true);
    expect(records).toMatchObject([{ state: "failed", error: "time limit: it took more than 50 ms" }]);
    await time.advanceTo(minuteMs);
    expect(records).toMatchObject([{ state: "failed" }, { state: "dead", attempts: 2 }]);
  });

  it("restarts: aborts what runs, and starts with the newer", async () => {
    const { open, handle } = gates();
    const { dispatcher, ended, progress } = bench({ handle, mode: "restart" });
    dispatcher.offer(event("1"), 1);
    dispatcher.offer(event("2"), 2);
    expect(open.get("1")?.signal.aborted).toBe(true);
    expect(progress).toEqual([1]);
    open.get("1")?.pass();
    open.get("2")?.pass();
    await dispatcher.idle();
    expect(ended()).toEqual(["1 stopped", "2 done"]);
  });

  it("takes no notice of an attempt that ends after its time", async () => {
    const late: (() => void)[] = [];
    const { time, dispatcher, ended } = bench({
      timeLimitMs: 50,
      backoffMs: [100],
      handle: () => new Promise((resolve) => late.push(() => resolve("handled"))),
    });
    dispatcher.offer(event("1"), 1);
    await time.advanceTo(150);
    expect(late).toHaveLength(2);
    late[0]?.();
    await settled();
    expect([ended(), dispatcher.waiting]).toEqual([[], 1]);
    late[1]?.();
    await dispatcher.idle();
    expect(ended()).toEqual(["1 done"]);
  });

  it("restarts also in the pause between two attempts, and tries the older no more", async () => {
    const tried: string[] = [];
    const { time, dispatcher, ended } = bench({
      mode: "restart",
      async handle({ id }) {
        tried.push(id);
        if (id === "1") throw new Error("no");
        return "handled";
      },
    });
    dispatcher.offer(event("1"), 1);
    await settled();
    dispatcher.offer(event("2"), 2);
    await time.advanceTo(minuteMs);
    expect([tried, ended()]).toEqual([
      ["1", "2"],
      ["1 stopped", "2 done"],
    ]);
    expect(time.nextMs).toBeUndefined();
  });

  it("single: drops what comes while one of the node runs", async () => {
    const { open, handle } = gates();
    const { dispatcher, ended } = bench({ handle, mode: "single" });
    dispatcher.offer(event("1"), 1);
    dispatcher.offer(event("2"), 2);
    open.get("1")?.pass();
    await dispatcher.idle();
    dispatcher.offer(event("3"), 3);
    await settled();
    open.get("3")?.pass();
    await dispatcher.idle();
    expect(ended()).toEqual(["2 dropped", "1 done", "3 done"]);
  });

  it("parallel: waits for nobody", () => {
    const { open, handle } = gates();
    const { dispatcher } = bench({ handle, mode: "parallel" });
    dispatcher.offer(event("1"), 1);
    dispatcher.offer(event("2"), 2);
    expect([...open.keys()]).toEqual(["1", "2"]);
  });

  it("stops an event that too many reactions led to", async () => {
    const { dispatcher, records, progress } = bench({});
    dispatcher.offer(event("loop", "a@x", 16), 1);
    dispatcher.offer(event("fine", "a@x", 15), 2);
    await dispatcher.idle();
    expect(records).toMatchObject([
      { id: "loop", state: "stopped", attempts: 0, error: expect.stringMatching(/^hop limit/) },
      { id: "fine", state: "done" },
    ]);
    expect(progress).toEqual([1, 2]);
  });

  it("keeps the last 20 lines that a run said", async () => {
    const { dispatcher, records } = bench({
      async handle({ id }) {
        for (let n = 1; n <= 25; n++) dispatcher.note(id, "info", `line ${n}`);
        return "handled";
      },
    });
    dispatcher.offer(event("1"), 1);
    await dispatcher.idle();
    const said = records[0]?.log.map(({ text }) => text);
    expect([said?.length, said?.[0], said?.at(-1)]).toEqual([20, "line 6", "line 25"]);
  });

  it("stops: what runs may end, what waits does not begin, and what did not end is not passed", async () => {
    const { open, handle } = gates();
    const { time, dispatcher, ended, progress } = bench({ handle });
    dispatcher.offer(event("1"), 1);
    dispatcher.offer(event("2"), 2);
    dispatcher.offer(event("3", "b@x"), 3);
    expect(dispatcher.running().map(({ id, state }) => `${id} ${state}`)).toEqual(["1 running", "3 running"]);
    const stopping = dispatcher.stop(1000);
    open.get("1")?.pass();
    await time.advanceTo(1000);
    await stopping;
    expect(open.get("3")?.signal.aborted).toBe(true);
    open.get("3")?.pass();
    await settled();
    expect([ended(), progress, open.has("2")]).toEqual([["1 done"], [1], false]);
  });

  it("takes 20,000 trivial events in a second of one core", async () => {
    const dispatcher = openDispatcher<Event, number>({ mode: "queued", handle: async () => "handled" });
    const before = process.cpuUsage();
    for (let n = 0; n < 40_000; n++) {
      dispatcher.offer(event(`${n}`, `${n % 500}@x`), n);
      if (n % 100 === 0) await settled();
    }
    await dispatcher.idle();
    await dispatcher.stop();
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1000).toBeLessThan(2000);
  });
});

const oneEvent = fc.record({
  node: fc.integer({ min: 0, max: 3 }),
  /** How many attempts fail; 9: it hangs until its time is up. */
  failures: fc.constantFrom(0, 0, 0, 1, 2, 3, 9),
  tookMs: fc.integer({ min: 0, max: 300 }),
  hops: fc.constantFrom(0, 0, 0, 0, 20),
  afterMs: fc.integer({ min: 0, max: 400 }),
});

it("keeps order, ends every event once and passes none, whatever happens", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom<Mode>("queued", "restart", "single", "parallel"),
      fc.integer({ min: 1, max: 4 }),
      fc.array(oneEvent, { minLength: 1, maxLength: 25 }),
      async (mode, concurrency, plan) => {
        // What is thrown in a handler would be taken for its failure.
        const broken: string[] = [];
        const ended = new Map<string, string>();
        const begun: { node: string; id: number }[] = [];
        const active = new Map<string, number>();
        let activeAll = 0;
        const { time, dispatcher } = bench({
          mode,
          concurrency,
          backoffMs: [100, 500],
          timeLimitMs: 200,
          handle({ id, node }, _run, attempt, signal) {
            const { failures = 0, tookMs = 0 } = plan[Number(id)] ?? {};
            if (attempt === 1) begun.push({ node, id: Number(id) });
            active.set(node, (active.get(node) ?? 0) + 1);
            activeAll++;
            if (mode !== "parallel" && active.get(node) !== 1) broken.push(`two runs of ${node}`);
            if (activeAll > concurrency) broken.push(`${activeAll} runs at once`);
            if (ended.has(id)) broken.push(`${id} is tried after its end`);
            return new Promise((resolve, reject) => {
              let isOver = false;
              const leave = () => {
                if (isOver) return;
                isOver = true;
                activeAll--;
                active.set(node, (active.get(node) ?? 0) - 1);
              };
              signal.addEventListener("abort", leave);
              if (failures === 9) return;
              time.timers.set(tookMs, () => {
                leave();
                if (attempt <= failures) reject(new Error("no"));
                else resolve("handled");
              });
            });
          },
          onRun({ id, state }) {
            if (state === "failed") return;
            if (ended.has(id)) broken.push(`${id} ended twice`);
            ended.set(id, state);
          },
          onProgress(cursor) {
            for (let n = 0; n <= cursor; n++) if (!ended.has(String(n))) broken.push(`${n} is passed`);
          },
        });
        for (const [n, { node, hops, afterMs }] of plan.entries()) {
          dispatcher.offer(event(String(n), `${node}@x`, hops), n);
          if (afterMs > 200) await time.advanceTo(time.now() + afterMs);
        }
        await time.advanceTo(time.now() + minuteMs);
        expect(broken).toEqual([]);
        expect(ended.size).toBe(plan.length);
        expect(dispatcher.waiting).toBe(0);
        for (const node of new Set(begun.map((one) => one.node))) {
          const ids = begun.filter((one) => one.node === node).map(({ id }) => id);
          expect(ids).toEqual(ids.toSorted((a, b) => a - b));
        }
        if (mode === "queued") {
          for (const [n, { hops }] of plan.entries()) {
            expect(ended.get(String(n))).toMatch(hops > 0 ? /^stopped$/ : /^(?:done|dead)$/);
          }
        }
        await dispatcher.stop();
      },
    ),
    { numRuns: 60 },
  );
});
