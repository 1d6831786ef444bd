// What an open stream takes up late: it is tried again, and no cursor passes it meanwhile.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Floors } from "../../services/watch/floors.ts";
import { Session, type SharedEvent } from "../../services/watch/session.ts";
import { TakingUp } from "../../services/watch/taking-up.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function aStream() {
  const session = new Session("at 3", { reset: () => undefined }, { offered: 0, conflated: 0, sent: 0 });
  const floors = new Floors(session, { onTouched: () => undefined });
  const start = { text: "at 3", position: 3, isLost: false };
  const told = (position: number): string => {
    session.offer("p", { position, cursor: `at ${position}`, size: 1 } as SharedEvent);
    return session.take().at(-1)?.cursor ?? "";
  };
  return { told, taking: new TakingUp({ floors, start }) };
}

test("what fails is tried again, and its reader goes on from before it until it is done", async () => {
  const { told, taking } = aStream();
  let tries = 0;
  taking.begin(
    async () => {
      if (++tries < 3) throw new Error("the store does not answer");
    },
    () => true,
  );
  expect(told(4)).toBe("at 3");
  await vi.advanceTimersByTimeAsync(0);
  expect(told(5)).toBe("at 3");
  await vi.advanceTimersByTimeAsync(500);
  expect([told(6), tries]).toEqual(["at 3", 2]);
  await vi.advanceTimersByTimeAsync(500);
  expect([told(7), tries]).toEqual(["at 7", 3]);
});

test("what is wanted no more holds nobody up", async () => {
  const { told, taking } = aStream();
  taking.begin(
    () => Promise.reject(new Error("the store does not answer")),
    () => false,
  );
  expect(told(4)).toBe("at 3");
  await vi.advanceTimersByTimeAsync(500);
  expect(told(5)).toBe("at 5");
});
