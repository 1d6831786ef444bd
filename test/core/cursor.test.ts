// Cursors: opaque outside, and only one spelling each.
import { describe, expect, it } from "vitest";
import { formatCursor, parseCursor } from "../../services/core/cursor.ts";
import { Refusal } from "../../services/core/refusal.ts";

describe("a cursor", () => {
  it.each([0, 1, 35, 36, 1e6, Number.MAX_SAFE_INTEGER])("comes back with position %d", (position) => {
    const cursor = { epoch: "abc1", term: "t9", position, hour: 498_000 };
    expect(parseCursor(formatCursor(cursor))).toEqual(cursor);
  });

  it.each([
    "",
    "-",
    "abc",
    "abc-1",
    "abc-1-0",
    "abc--0-a",
    "-1-0-a",
    "abc-01-0-a",
    "abc-1-0-0a",
    "abc-Z-0-a",
    "abc-1-0-a ",
    "ABC-1-0-a",
    `abc-${"z".repeat(12)}-0-a`,
    "abc-zzzzzzzzzzz-0-a",
    "abc-1-0-a\n",
    "abc-1-0-a-b",
  ])("is not %j", (text) => {
    expect(() => parseCursor(text)).toThrow(Refusal);
  });
});
