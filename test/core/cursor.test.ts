// Cursors: opaque outside, and only one spelling each.
import { describe, expect, it } from "vitest";
import { formatCursor, parseCursor } from "../../services/core/cursor.ts";
import { Refusal } from "../../services/core/refusal.ts";

describe("a cursor", () => {
  it.each([0, 1, 35, 36, 1e6, Number.MAX_SAFE_INTEGER])("comes back with position %d", (position) => {
    const cursor = { epoch: "abc1", position };
    expect(parseCursor(formatCursor(cursor))).toEqual(cursor);
  });

  it.each([
    "",
    "-",
    "abc",
    "abc-",
    "-1",
    "abc-01",
    "abc-Z",
    "abc--1",
    "abc-1 ",
    "ABC-1",
    `abc-${"z".repeat(12)}`,
    "abc-zzzzzzzzzzz",
    "abc-1\n",
  ])("is not %j", (text) => {
    expect(() => parseCursor(text)).toThrow(Refusal);
  });
});
