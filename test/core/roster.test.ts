// Rosters: what the property `contacts` may hold, and the contacts that come of it.
import { describe, expect, test } from "vitest";
import {
  type Contact,
  contactsMax,
  contactsOf,
  mergedRoster,
  parseContacts,
  peopleIn,
  rosterOf,
} from "../../services/core/roster.ts";

const bob = { address: "bob@example.com", name: "Bobby", groups: ["Friends"], note: "Plays chess" };
const zoe = { address: "zoe@example.com" };

describe("rosters", () => {
  test("hold members, and what the owner notes of them", () => {
    const { address, ...noted } = bob;
    expect(rosterOf([zoe])).toEqual({ members: [zoe.address] });
    expect(rosterOf([bob, zoe])).toEqual({ members: [address, zoe.address], people: { [address]: noted } });
    expect(contactsOf(rosterOf([bob, zoe]))).toEqual([bob, zoe]);
    expect(rosterOf([])).toEqual({ members: [] });
  });

  test("name each member once, in lower case, with what is noted in any case", () => {
    const value = {
      members: ["Bob@Example.com", "bob@example.com", "@Example.NET"],
      people: { "BOB@example.com": { name: "Bobby" }, "eve@example.com": { name: "no member" } },
    };
    expect(contactsOf(value)).toEqual([
      { address: "bob@example.com", name: "Bobby" },
      { address: "@example.net" },
    ]);
    expect(peopleIn(contactsOf(value))).toEqual([{ address: "bob@example.com", name: "Bobby" }]);
  });

  test.each([
    [undefined],
    [null],
    ["x"],
    [[]],
    [{}],
    [{ members: {} }],
    [{ members: [1, null] }],
    [{ people: { a: 1 } }],
  ])("that are none have no contacts: %j", (value) => {
    expect(contactsOf(value as never)).toEqual([]);
  });

  test("pass over what is noted in another shape, or says nothing", () => {
    const people = { "zoe@example.com": { name: "zoe@example.com", groups: ["", 1], note: "" } };
    expect(contactsOf({ members: [zoe.address], people })).toEqual([zoe]);
    expect(contactsOf({ members: [zoe.address], people: { "zoe@example.com": [1] } })).toEqual([zoe]);
    expect(contactsOf({ members: [zoe.address], people: 1 })).toEqual([zoe]);
  });

  test("take accounts and domains, and say where something else stands", () => {
    expect(parseContacts([{ address: "acct:Zoe@Example.com" }, { address: "@Example.NET" }])).toEqual([
      zoe,
      { address: "@example.net" },
    ]);
    for (const address of ["zoe", "", "@", "@-x", "zoe@example.com/bike", "mailto:zoe@example.com"]) {
      expect(() => parseContacts([zoe, { address }])).toThrow(
        expect.objectContaining({
          code: "bad-address",
          errors: [expect.objectContaining({ pointer: "/contacts/1/address" })],
        }),
      );
    }
    expect(() => parseContacts([zoe, bob, { address: "ZOE@example.com" }])).toThrow(
      expect.objectContaining({ code: "bad-request" }),
    );
  });

  test("are merged by address: what is said anew takes the place of what was said", () => {
    const merged = mergedRoster(
      [bob, zoe],
      [{ address: bob.address, name: "Robert" }, { address: "eve@example.com" }],
    );
    expect(merged).toEqual([{ ...bob, name: "Robert" }, zoe, { address: "eve@example.com" }]);
  });

  test("have an end", () => {
    const many = Array.from(
      { length: contactsMax },
      (_, index): Contact => ({ address: `u${index}@example.com` }),
    );
    expect(parseContacts(many)).toHaveLength(contactsMax);
    expect(() => parseContacts([...many, zoe])).toThrow(
      expect.objectContaining({ code: "too-many-contacts" }),
    );
    expect(mergedRoster(many, many)).toHaveLength(contactsMax);
    expect(() => mergedRoster(many, [zoe])).toThrow(expect.objectContaining({ code: "too-many-contacts" }));
  });
});
