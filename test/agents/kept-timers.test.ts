// Timers in the log of work: each call sets its timer once, and none is forgotten while its run is on.
import { describe, expect, it } from "vitest";
import { openKeeping } from "../../services/agents/keeping.ts";
import type { KeptTimers } from "../../services/agents/kept-timers.ts";
import type { Append } from "../../services/store/log.ts";
import { Conflict } from "../../services/store/log.ts";
import { openMemoryLog } from "../../services/store/memory.ts";

const none = () => false;

describe("timers that are kept", () => {
  it("replace one of the same name, but where the same call sets its own once more", async () => {
    const { timers } = keptOf(openMemoryLog());
    const first = await timers.set(beat("one", 100), none);
    expect(first).toMatchObject({ name: "beat", dueMs: 100, key: "one" });
    expect(await timers.set(beat("one", 200), none)).toEqual(first);
    const second = await timers.set(beat("two", 300), none);
    expect(second?.id).not.toBe(first?.id);
    expect(await timers.all()).toEqual([second]);
  });

  it("are not set again by the call whose timer has ended", async () => {
    const { timers } = keptOf(openMemoryLog());
    const first = await set(timers, "one");
    await timers.end(first);
    expect(await timers.set(beat("one", 100), none)).toBeUndefined();
    expect(await timers.all()).toEqual([]);
    expect(await timers.set(beat("two", 100), none)).toMatchObject({ key: "two" });
  });

  it.each(["another is set in its place", "it is cancelled"])(
    "stay while their run is on, also when %s meanwhile",
    async (how) => {
      const log = openMemoryLog();
      const { timers } = keptOf(log);
      const first = await set(timers, "one");
      const isFiring = (id: string) => id === first.id;
      if (how === "it is cancelled") await timers.cancel("beat", isFiring);
      else await timers.set(beat("two", 300), isFiring);
      const others = how === "it is cancelled" ? [] : [expect.objectContaining({ key: "two" })];
      // As whoever takes over reads it.
      const { timers: elsewhere } = keptOf(log);
      expect(await elsewhere.all()).toEqual([...others, first]);
      await elsewhere.end(first);
      expect(await elsewhere.all()).toEqual(others);
      await elsewhere.end(first);
      expect(await elsewhere.all()).toEqual(others);
    },
  );

  it("of before a call had a key end like any other", async () => {
    const log = openMemoryLog();
    const body = JSON.stringify({ dueMs: 100, data: null, run: "of before" });
    await log.append([{ subject: "w.localhost.agent-timer.agent-1.beat", body, expected: 0 }]);
    const { timers } = keptOf(log);
    const [timer] = await timers.all();
    expect(timer).toMatchObject({ name: "beat", dueMs: 100 });
    if (timer) await timers.end(timer);
    expect(await timers.all()).toEqual([]);
  });

  it("go when they are cancelled, and can be set again by the same call", async () => {
    const { timers } = keptOf(openMemoryLog());
    await set(timers, "one");
    await timers.cancel("beat", none);
    expect(await timers.all()).toEqual([]);
    expect(await timers.set(beat("one", 100), none)).toMatchObject({ key: "one" });
  });

  it("are set whoever was faster, and are no more than a thousand", async () => {
    const log = openMemoryLog();
    let conflicts = 2;
    const { timers } = keptOf({
      ...log,
      append: async (facts: readonly Append[]) => {
        if (conflicts-- > 0) throw new Conflict();
        return await log.append(facts);
      },
    });
    await set(timers, "one");
    for (let n = 1; n < 1_000; n++) await timers.set({ ...beat("one", 100), name: `n-${n}` }, none);
    const more = timers.set({ ...beat("one", 100), name: "one too many" }, none);
    await expect(more).rejects.toThrow("An agent has 1000 timers at most; cancel some.");
    expect(await timers.set(beat("two", 300), none)).toMatchObject({ key: "two" });
  });
});

const keptOf = (log: Parameters<typeof openKeeping>[0]) => openKeeping(log, "localhost", "agent-1");

const beat = (key: string, dueMs: number) => ({ name: "beat", dueMs, data: null, key });

async function set(timers: KeptTimers, key: string) {
  const timer = await timers.set(beat(key, 100), none);
  if (timer === undefined) throw new Error("it was not set");
  return timer;
}
