// Subjects: escaping by its vectors, and back again for anything.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { makeAddress, parseAddress } from "../../services/core/address.ts";
import {
  escapeToken,
  type FactKind,
  placeOf,
  subjectOf,
  unescapeToken,
} from "../../services/store/subjects.ts";
import vectors from "../vectors/subjects.json" with { type: "json" };

describe("subjects", () => {
  it.each(vectors.tokens)("escape $text as $token", ({ text, token }) => {
    expect(escapeToken(text)).toBe(token);
    expect(unescapeToken(token)).toBe(text);
  });

  it.each(vectors.subjects)("put $address $kind $name at $subject", ({ address, kind, name, subject }) => {
    expect(subjectOf(parseAddress(address), kind as FactKind, name)).toBe(subject);
    expect(placeOf(subject)).toEqual({ address: parseAddress(address), kind, name });
  });

  it("come back as they went, and hold no separator or wildcard, whatever the text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 60 }), (text) => {
        const token = escapeToken(text);
        expect(token).toMatch(/^[A-Za-z0-9_=-]+$/);
        expect(unescapeToken(token)).toBe(text);
      }),
      { numRuns: 2_000 },
    );
  });

  it("differ where texts differ", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (a, b) => {
        expect(escapeToken(a) === escapeToken(b)).toBe(a === b);
      }),
    );
  });

  it("hold the longest legal address and name", () => {
    const label = `a${".a".repeat(126)}`;
    const longest = makeAddress(`a${".".repeat(63)}`, label, Array(8).fill("~".repeat(64)));
    expect(parseAddress(longest.text)).toEqual(longest);
    const subject = subjectOf(longest, "property", `a${".".repeat(126)}`);
    expect(subject.length).toBeLessThan(3_072);
    expect(placeOf(subject).address).toEqual(longest);
  });
});
