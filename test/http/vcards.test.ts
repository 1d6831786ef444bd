// vCards against rosters: what test/vectors/vcards.json lists, and whatever is written is read back as it was.
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Contact, contactsMax, contactsOf, rosterOf } from "../../services/core/roster.ts";
import { readCards, writeCards } from "../../services/http/vcards.ts";
import { compileTrusted } from "../../services/property/ajv.ts";
import { loadShippedTypes } from "../../services/property/shipped-types.ts";

interface Vectors {
  readonly good: readonly { name: string; text: string; contacts: readonly Contact[] }[];
  readonly bad: readonly { name: string; text: string; detail: string }[];
}

const file = new URL("../vectors/vcards.json", import.meta.url);
const { good, bad } = JSON.parse(readFileSync(file, "utf8"), (_, value) =>
  typeof value === "string"
    ? value.replace(/\{(\d+) x\}/g, (_whole, times) => "x".repeat(Number(times)))
    : value,
) as Vectors;
const card = (...lines: string[]): string =>
  ["BEGIN:VCARD", "VERSION:4.0", ...lines, "END:VCARD", ""].join("\r\n");
const bob = "IMPP:acct:bob@example.com";

/** A byte order mark is the decoder's to take away. */
const decoded = (text: string): string => text.replace(/^\ufeff/, "");

describe("vCards", () => {
  test.each(good)("are read: $name", ({ text, contacts }) => {
    expect(readCards(decoded(text))).toEqual(contacts);
    expect(readCards(writeCards(contacts))).toEqual(contacts);
  });

  test.each(bad)("are refused: $name", ({ text, detail }) => {
    expect(() => readCards(text)).toThrow(
      expect.objectContaining({ code: "bad-vcard", message: expect.stringContaining(detail) }),
    );
  });

  test("are counted before they are read", () => {
    const cards = Array.from({ length: contactsMax + 1 }, (_, index) =>
      card(`IMPP:acct:u${index}@example.com`),
    );
    expect(readCards(cards.slice(1).join(""))).toHaveLength(contactsMax);
    expect(() => readCards(cards.join(""))).toThrow(expect.objectContaining({ code: "too-many-contacts" }));
  });

  test("cannot be made to cost more than their length", () => {
    const size = 250_000;
    const hostile = [
      card(`FN${";A=b".repeat(size / 4)}:x`, bob),
      card(`FN;X=${'"a",'.repeat(size / 4)}"a":x`, bob),
      card(`FN;X=${"^n".repeat(size / 2)}:x`, bob),
      card(`CATEGORIES:${",".repeat(size)}`, bob),
      card(`N:${";".repeat(size)}`, bob),
      card(`FN:${"\\".repeat(size)}`, bob),
      card(`FN:a${"\r\n b".repeat(size / 4)}`, bob),
      card(`FN:a${"\r\n ".repeat(size / 3)}`, bob),
      card("A".repeat(size), bob),
      card(`BDAY:${"1".repeat(size)}`, bob),
      "BEGIN:VCARD\r\n".repeat(contactsMax),
      "\r\n".repeat(size / 2),
      " ".repeat(size),
      "\\;".repeat(size / 2),
    ];
    for (const text of hostile) {
      const began = process.threadCpuUsage();
      try {
        readCards(text);
      } catch {
        // Whether it is refused is not the question here.
      }
      const { user } = process.threadCpuUsage(began);
      expect(user / 1000, text.slice(0, 40)).toBeLessThan(400);
    }
  });

  const text = (lengthMax: number): fc.Arbitrary<string> =>
    fc
      .oneof(
        fc.string({ unit: "grapheme", minLength: 1, maxLength: lengthMax / 8 }),
        fc.string({ unit: "binary", minLength: 1, maxLength: lengthMax }),
        fc
          .array(fc.constantFrom("\\", ";", ",", "n", "N", ":", '"', "^", "=", " ", "x", "🦊", "END:VCARD"), {
            minLength: 1,
            maxLength: Math.floor(lengthMax / 9),
          })
          .map((parts) => parts.join("")),
      )
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what a roster does not take
      .map((any) => any.replace(/[\x00-\x1f\x7f]/g, "").trim());
  const note = fc
    .array(fc.oneof(text(64), fc.constantFrom("\n", " ", "\t", "\\n")), { minLength: 1, maxLength: 12 })
    .map((parts) => parts.join(""));
  const local = fc.stringMatching(/^[a-z0-9][a-z0-9._+-]{0,20}$/);
  const address = fc
    .tuple(fc.oneof(local, fc.constant("")), fc.constantFrom("example.com", "localhost", "a.b-c.example"))
    .map((parts) => parts.join("@"));
  const contacts = fc.uniqueArray(
    fc.record(
      { address, name: text(128), groups: fc.uniqueArray(text(64), { maxLength: 16 }), note },
      { requiredKeys: ["address"] },
    ),
    { selector: (one) => one.address, minLength: 1, maxLength: 8 },
  );
  const fits = compileTrusted(loadShippedTypes().get("contacts")?.schema as object);

  test("that are written are read back as the same roster, which fits its type", () => {
    fc.assert(
      fc.property(contacts, (given) => {
        const kept = contactsOf(rosterOf(given as Contact[]));
        expect(fits(rosterOf(kept))).toEqual([]);
        expect(readCards(writeCards(kept))).toEqual(kept);
        expect(contactsOf(rosterOf(kept))).toEqual(kept);
      }),
      { numRuns: 500 },
    );
  });
});
