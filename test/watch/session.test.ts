// A session: what one reader is owed, and that it never grows past its cap.
import { describe, expect, it } from "vitest";
import { queuedMax, Session, type SharedEvent } from "../../services/watch/session.ts";

const event = (position: number, size = 100): SharedEvent => ({
  event: { specversion: "1.0", id: `${position}`, source: "/", type: "t", time: "", data: {} },
  position,
  cursor: `c-${position}`,
  size,
  json: "{}",
  storedMs: undefined,
  mayTell: undefined,
  framed: undefined,
});

function session() {
  const seen = { overflowed: 0 };
  const tally = { offered: 0, conflated: 0, sent: 0 };
  const owner = {
    reset(): void {
      seen.overflowed++;
    },
  };
  const opened = new Session("start", owner, tally);
  const takes = (): [number, number][] =>
    opened.take().map(({ shared, skipped }) => [shared.position, skipped]);
  const cursors = (): string[] => opened.take().map(({ cursor }) => cursor);
  return Object.assign(opened, { seen, takes, cursors });
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

  it("owes what two watches of one stream bring only once", () => {
    const one = session();
    one.offer("a", event(3));
    one.offer("a", event(3));
    expect(one.takes()).toEqual([[3, 0]]);
  });

  it("lets its reader resume from the floor until that is lifted", () => {
    const one = session();
    expect(one.last).toBe("start");
    one.hold("floor");
    one.present("a", event(4));
    one.offer("b", event(6));
    one.lift();
    one.offer("live", event(7));
    expect(one.cursors()).toEqual(["floor", "floor", "c-7"]);
    expect(one.last).toBe("c-7");
  });

  it("says each time that more waits than it may hold", () => {
    const one = session();
    one.offer("a", event(1, queuedMax));
    expect(one.seen.overflowed).toBe(0);
    one.offer("b", event(2, 1));
    expect(one.seen.overflowed).toBe(1);
    one.drop();
    expect([one.isEmpty, one.waiting]).toEqual([true, 0]);
    one.offer("b", event(3, 1));
    expect(one.seen.overflowed).toBe(1);
  });

  it("blames no reader for the size of its snapshot, but for what it leaves waiting beside it", () => {
    const one = session();
    one.present("a", event(1, queuedMax));
    one.present("b", event(2, queuedMax));
    one.offer("c", event(4, queuedMax));
    expect(one.seen.overflowed).toBe(0);
    one.offer("d", event(5, 1));
    expect(one.seen.overflowed).toBe(1);
    expect(one.takes()).toHaveLength(4);
    one.offer("a", event(6, queuedMax));
    one.offer("b", event(7, 1));
    expect(one.seen.overflowed).toBe(2);
  });

  it("does not count what a newer event replaced", () => {
    const one = session();
    for (let position = 1; position <= 100; position++) one.offer("a", event(position, queuedMax / 2));
    expect([one.seen.overflowed, one.waiting]).toEqual([0, queuedMax / 2]);
  });
});
