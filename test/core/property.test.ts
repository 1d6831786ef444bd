// What becomes of a property: each decision, with the time as an argument.
import { describe, expect, it } from "vitest";
import { decodeProperty, encodeProperty, isTombstone } from "../../services/core/fact.ts";
import {
  deadline,
  endLeaseById,
  endLeases,
  type PropertyState,
  removeView,
  renewLease,
  setView,
  visible,
} from "../../services/core/property.ts";

const by = "alice@localhost";

/** Writes a state at a position and reads it back, as the log would. */
const at = (position: number, state: PropertyState | undefined): PropertyState =>
  decodeProperty(encodeProperty(state as PropertyState), position);

const set = (
  state: PropertyState | undefined,
  position: number,
  value: string,
  nowMs: number,
  lease?: { id: string; seconds: number; default?: string },
  view = "",
): PropertyState =>
  at(position, setView(state, { view, value, by, ...(lease && { lease }) }, nowMs, "broker"));

describe("a property", () => {
  it("shows what was set, at the position of the fact", () => {
    const state = set(undefined, 7, "here", 1000);
    expect(visible(state)).toMatchObject({ value: "here", revision: 7, updatedMs: 1000, by });
    expect(state.revision).toBe(7);
  });

  it("is gone when its lease ends without a default, and says why", () => {
    const state = set(undefined, 1, "here", 1000, { id: "l", seconds: 1.5 });
    expect(deadline(state)).toBe(2500);
    expect(endLeases(state, 2499.999, "broker")).toBeUndefined();
    const ended = at(2, endLeases(state, 2500, "broker"));
    expect([visible(ended), ended.reason, ended.revision, isTombstone(ended)]).toEqual([
      undefined,
      "expired",
      2,
      true,
    ]);
  });

  it("rests on the default of the lease that ended", () => {
    const state = set(undefined, 1, "online", 0, { id: "l", seconds: 1, default: "offline" });
    const ended = at(2, endLeases(state, 1000, "broker"));
    expect(visible(ended)).toMatchObject({ value: "offline", revision: 2 });
    expect(visible(ended)?.lease).toBeUndefined();
    expect(ended.reason).toBe("expired");
    expect(endLeases(ended, 1e12, "broker")).toBeUndefined();
  });

  it("rounds a deadline up, never down", () => {
    expect(deadline(set(undefined, 1, "x", 1000.2, { id: "l", seconds: 1 }))).toBe(2001);
  });

  it("keeps its revision when it is renewed, and its new deadline", () => {
    const state = set(undefined, 1, "online", 0, { id: "l", seconds: 1 });
    const renewed = at(2, renewLease(state, "l", by, 5, 500, "broker"));
    expect([renewed.revision, visible(renewed)?.revision, deadline(renewed)]).toEqual([1, 1, 5500]);
    expect(visible(renewed)?.lease?.seconds).toBe(5);
  });

  it("is renewed only by the lease and the account that hold it", () => {
    const state = set(undefined, 1, "online", 0, { id: "l", seconds: 1 });
    expect(renewLease(state, "other", by, 5, 500, "broker")).toBeUndefined();
    expect(renewLease(state, "l", "bob@localhost", 5, 500, "broker")).toBeUndefined();
  });

  it("shows the newest view, falls back to the older one at a new revision, and last to the default", () => {
    const phone = set(undefined, 1, "phone", 0, { id: "p", seconds: 10, default: "offline" }, "phone");
    const both = set(phone, 2, "laptop", 1000, { id: "l", seconds: 2 }, "laptop");
    expect(visible(both)?.value).toBe("laptop");
    const one = at(3, endLeases(both, 3000, "broker"));
    expect([visible(one)?.value, one.revision, one.reason]).toEqual(["phone", 3, "expired"]);
    const none = at(4, endLeases(one, 10_000, "broker"));
    expect([visible(none)?.value, none.revision]).toEqual(["offline", 4]);
  });

  it("changes nothing that readers see when a hidden view ends, but remembers its default", () => {
    const phone = set(undefined, 1, "phone", 0, { id: "p", seconds: 1, default: "offline" }, "phone");
    const both = set(phone, 2, "laptop", 500, { id: "l", seconds: 10 }, "laptop");
    const one = at(3, endLeases(both, 1000, "broker"));
    expect([visible(one)?.value, one.revision]).toEqual(["laptop", 2]);
    expect(visible(at(4, endLeases(one, 10_500, "broker")))?.value).toBe("offline");
  });

  it("takes the default of the lease that ended last when several ended unseen", () => {
    const phone = set(undefined, 1, "phone", 0, { id: "p", seconds: 3, default: "late" }, "phone");
    const both = set(phone, 2, "laptop", 0, { id: "l", seconds: 2, default: "early" }, "laptop");
    expect(visible(at(3, endLeases(both, 99_000, "broker")))?.value).toBe("late");
  });

  it("forgets an old default once it is set for good", () => {
    const leased = set(undefined, 1, "online", 0, { id: "l", seconds: 1, default: "offline" });
    const rests = at(2, endLeases(leased, 1000, "broker"));
    const settled = set(rests, 3, "busy", 2000);
    expect(settled.rest).toBeUndefined();
    expect(visible(settled)?.value).toBe("busy");
  });

  it("loses one view, or all of it", () => {
    const both = set(set(undefined, 1, "phone", 0, undefined, "phone"), 2, "laptop", 0, undefined, "laptop");
    expect(visible(at(3, removeView(both, "laptop", "broker")))?.value).toBe("phone");
    expect(at(3, removeView(both, "phone", "broker")).revision).toBe(2);
    const gone = at(3, removeView(both, undefined, "broker"));
    expect([visible(gone), gone.reason, isTombstone(gone)]).toEqual([undefined, "deleted", true]);
    expect(removeView(gone, undefined, "broker")).toBeUndefined();
    expect(removeView(both, "tablet", "broker")).toBeUndefined();
  });

  it("ends by its lease's id before its time", () => {
    const state = set(undefined, 1, "online", 0, { id: "l", seconds: 100, default: "offline" });
    expect(endLeaseById(state, "l", "bob@localhost", 1, "broker")).toBeUndefined();
    const ended = at(2, endLeaseById(state, "l", by, 1, "broker"));
    expect([visible(ended)?.value, ended.reason]).toEqual(["offline", "expired"]);
  });

  it("keeps a view that is called __proto__ an ordinary view", () => {
    const state = set(undefined, 1, "x", 0, { id: "l", seconds: 1 }, "__proto__");
    expect([...state.views.keys()]).toEqual(["__proto__"]);
    expect(({} as { v?: unknown }).v).toBeUndefined();
  });
});
