// Addresses and names by their vectors.
import { describe, expect, it } from "vitest";
import { parseAddress, parsePropertyName } from "../../services/core/address.ts";
import { Refusal } from "../../services/core/refusal.ts";
import vectors from "../vectors/addresses.json" with { type: "json" };

describe("an address", () => {
  it.each(vectors.addresses)("reads $text as $is", ({ text, is }) => {
    if (is === null) expect(() => parseAddress(text)).toThrow(Refusal);
    else expect(parseAddress(text).text).toBe(is);
  });

  it("has a handle of 64 letters and no more", () => {
    expect(parseAddress(`${"a".repeat(64)}@localhost`).local).toHaveLength(64);
    expect(() => parseAddress(`${"a".repeat(65)}@localhost`)).toThrow(Refusal);
    expect(() => parseAddress(`${"a".repeat(5000)}@localhost`)).toThrow(Refusal);
  });

  it("shows what was refused without control characters, and short", () => {
    try {
      parseAddress(`\u001b[31m${"x".repeat(500)}`);
      expect.unreachable();
    } catch (error) {
      expect((error as Refusal).message).toMatch(/^"\?\[31mx{75}…" is not an address\.$/);
    }
  });
});

describe("a property name", () => {
  it.each(["travel", "for-sale", "profile.name", "0", "a".repeat(127), "a..b", "a."])("may be %s", (name) => {
    expect(parsePropertyName(name)).toBe(name);
  });
  it.each(["", ".a", "-a", "Travel", "tra vel", "a/b", "a*", "a>", "__proto__", "ä", "a".repeat(128), "a\n"])(
    "may not be %j",
    (name) => {
      expect(() => parsePropertyName(name)).toThrow(Refusal);
    },
  );
});
