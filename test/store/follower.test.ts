// The follower: every listener hears every fact, in order, groups whole.
import { describe, expect, it, vi } from "vitest";
import { follow } from "../../services/store/follower.ts";
import type { Fact, Log } from "../../services/store/log.ts";
import { openMemoryLog } from "../../services/store/memory.ts";

/** A log whose feed gives exactly what the test hands it. */
function handFed(): { log: Log; give: (...facts: [position: number, groupEnd: number][]) => void } {
  const batches: Fact[][] = [];
  let wake = (): void => undefined;
  async function* feed(_: number, signal: AbortSignal): AsyncGenerator<readonly Fact[]> {
    signal.addEventListener("abort", () => wake());
    while (!signal.aborted) {
      const batch = batches.shift();
      if (batch) yield batch;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  }
  return {
    log: { ...openMemoryLog(), feed },
    give: (...facts) => {
      batches.push(
        facts.map(([position, groupEnd]) => ({
          subject: `t.${position}`,
          position,
          groupEnd,
          timeMs: 0,
          body: "",
        })),
      );
      wake();
    },
  };
}

describe("the follower", () => {
  it("tells each fact to every listener before the next, and then lets them write", async () => {
    const { log, give } = handFed();
    await using follower = follow(log);
    const heard: string[] = [];
    follower.listen({ take: ({ position }) => heard.push(`a${position}`), flush: () => heard.push("flush") });
    follower.listen({ take: ({ position }) => heard.push(`b${position}`) });
    give([1, 1], [2, 2]);
    await vi.waitUntil(() => follower.position >= 2, { interval: 1 });
    expect(heard).toEqual(["a1", "b1", "a2", "b2", "flush"]);
  });

  it("holds a group back until it is whole", async () => {
    const { log, give } = handFed();
    await using follower = follow(log);
    const heard: number[] = [];
    follower.listen({ take: ({ position }) => heard.push(position) });
    give([1, 1], [2, 4]);
    await vi.waitUntil(() => follower.position >= 1, { interval: 1 });
    expect([heard, follower.position]).toEqual([[1], 1]);
    give([3, 4]);
    give([4, 4], [5, 6]);
    await vi.waitUntil(() => follower.position >= 4, { interval: 1 });
    expect(heard).toEqual([1, 2, 3, 4]);
  });

  it("lets a group go whose end a later fact replaced", async () => {
    const { log, give } = handFed();
    await using follower = follow(log);
    give([1, 2], [3, 3]);
    await vi.waitUntil(() => follower.position >= 3, { interval: 1 });
  });

  it("knows when it has caught up with what was acknowledged before", async () => {
    const log = openMemoryLog();
    await using follower = follow(log);
    const position = await log.append([{ subject: "t.a", body: "", expected: 0 }]);
    await Promise.all([follower.caughtUp(), follower.caughtUp(), follower.caughtUp()]);
    expect(follower.position).toBe(position);
  });

  it("waits for a position that somebody saw no longer than the log holds anything up to there", async () => {
    const { log, give } = handFed();
    // What lay at 2 was forgotten: the feed never brings it, and the log ends before it.
    const end = vi.fn(async () => 1);
    await using follower = follow({ ...log, end });
    give([1, 1]);
    await follower.known(2);
    expect([follower.position, end.mock.calls.length]).toEqual([1, 1]);
  });

  it("asks the log nothing about what comes by the feed in time", async () => {
    const { log, give } = handFed();
    const end = vi.fn(async () => 1);
    await using follower = follow({ ...log, end });
    const known = follower.known(2);
    give([1, 1], [2, 2]);
    await known;
    expect([follower.position, end.mock.calls.length]).toEqual([2, 0]);
  });

  it("tells what a fact means for others before it, part by part, and nothing after it meanwhile", async () => {
    const { log, give } = handFed();
    await using follower = follow(log);
    const heard: string[] = [];
    const part = (subject: string): Fact => {
      return { subject, position: 2, groupEnd: Number.POSITIVE_INFINITY, timeMs: 0, body: "" };
    };
    follower.unfold((fact) => (fact.position === 2 ? parts() : undefined));
    async function* parts(): AsyncGenerator<readonly Fact[]> {
      yield [part("a"), part("b")];
      heard.push(`known up to ${follower.position}`);
      yield [part("c")];
    }
    follower.listen({ take: ({ subject }) => heard.push(subject), flush: () => heard.push("flush") });
    give([1, 1], [2, 2], [3, 3]);
    give([4, 4]);
    await follower.known(4);
    const told = ["t.1", "flush", "a", "b", "flush", "known up to 1", "c", "flush"];
    expect(heard).toEqual([...told, "t.2", "t.3", "flush", "t.4", "flush"]);
  });

  it("tells a listener nothing once it has left", async () => {
    const log = openMemoryLog();
    await using follower = follow(log);
    const heard: number[] = [];
    const listening = follower.listen({ take: ({ position }) => heard.push(position) });
    await log.append([{ subject: "t.a", body: "", expected: 0 }]);
    await follower.caughtUp();
    listening[Symbol.dispose]();
    await log.append([{ subject: "t.b", body: "", expected: 0 }]);
    await follower.caughtUp();
    expect(heard).toEqual([1]);
  });
});
