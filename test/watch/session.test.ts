// A session: what one reader is owed, and that it never grows past its cap.
import { describe, expect, it } from "vitest";
import { openSession, queuedMax, type SharedEvent } from "../../services/watch/session.ts";

const event = (position: number, size = 100): SharedEvent => ({
  event: { specversion: "1.0", id: `${position}`, source: "/", type: "t", time: "", data: {} },
  position,
  cursor: `c-${position}`,
  size,
  json: "{}",
});

function session() {
  const seen = { ready: 0, overflowed: 0 };
  const opened = openSession({ onReady: () => seen.ready++, onOverflow: () => seen.overflowed++ });
  const takes = (): [number, number][] =>
    opened.take().map(({ shared, skipped }) => [shared.position, skipped]);
  return Object.assign(opened, { seen, takes });
}

describe("a session", () => {
  it("owes events in their order, once", () => {
    const one = session();
    one.offer("a", event(1));
    one.offer("b", event(2));
    expect(one.takes()).toEqual([
      [1, 0],
      [2, 0],
    ]);
    expect(one.takes()).toEqual([]);
  });

  it("keeps the latest of each property, after what came before it, and counts what it skipped", () => {
    const one = session();
    for (const [key, position] of [
      ["a", 1],
      ["b", 2],
      ["a", 3],
      ["a", 4],
    ] as const)
      one.offer(key, event(position));
    expect(one.takes()).toEqual([
      [2, 0],
      [4, 2],
    ]);
    one.offer("a", event(5));
    expect(one.takes()).toEqual([[5, 0]]);
  });

  it("holds everything back until the snapshot is there, and drops what the snapshot covers", () => {
    const one = session();
    one.hold();
    one.offer("a", event(3));
    one.offer("b", event(6));
    one.offer("c", event(2));
    expect(one.takes()).toEqual([]);
    one.release(
      [
        ["a", event(4)],
        ["live", event(5)],
      ],
      (_, position) => position <= 5,
    );
    expect(one.takes()).toEqual([
      [4, 0],
      [5, 0],
      [6, 0],
    ]);
  });

  it("says once that more waits than it may hold", () => {
    const one = session();
    one.offer("a", event(1, queuedMax));
    expect(one.seen.overflowed).toBe(0);
    one.offer("b", event(2, 1));
    one.offer("c", event(3, 1));
    expect(one.seen.overflowed).toBe(1);
  });

  it("blames no reader for the size of its snapshot, but for what it leaves waiting afterwards", () => {
    const one = session();
    one.hold();
    one.offer("live", event(3, queuedMax));
    const snapshot = ["a", "b"].map((key, at): [string, SharedEvent] => [key, event(at + 1, queuedMax)]);
    one.release(snapshot, () => false);
    one.offer("c", event(4, queuedMax));
    expect(one.seen.overflowed).toBe(0);
    expect(one.takes()).toHaveLength(4);
    one.offer("a", event(5, queuedMax));
    one.offer("b", event(6, 1));
    expect(one.seen.overflowed).toBe(1);
  });

  it("does not count what a newer event replaced", () => {
    const one = session();
    for (let position = 1; position <= 100; position++) one.offer("a", event(position, queuedMax / 2));
    expect([one.seen.overflowed, one.waiting]).toEqual([0, queuedMax / 2]);
  });
});
