// The roster: an owner's contacts, as the private property `contacts` holds them and as the owner reads and writes them.
// In: the property's value, lists of contacts. Out: the one from the other. Never: a contact twice, or a petname for somebody who is no contact.
import { isDomain, parseAddress } from "./address.ts";
import type { Json } from "./json.ts";
import { Refusal } from "./refusal.ts";

export interface Contact {
  /** An account, or a whole domain as `@example.com`. */
  readonly address: string;
  /** What the owner calls it. */
  readonly name?: string;
  readonly groups?: readonly string[];
  readonly note?: string;
}

type Members = { readonly [key: string]: Json };

/** As many as the type of `contacts` takes. */
export const contactsMax = 2_000;

/** The contacts of a roster, in its order. What does not look like one, which only an operator's own type lets in, is passed over. */
export function contactsOf(value: Json | undefined): readonly Contact[] {
  const { members, people } = objectOf(value);
  const noted = new Map(Object.entries(objectOf(people)).map(([who, note]) => [who.toLowerCase(), note]));
  const named = textsOf(members).map((one) => one.toLowerCase());
  return [...new Set(named)].map((address) => contactOf(address, noted.get(address)));
}

/** Everybody in a roster who can be asked for something: domains cannot. */
export function peopleIn(contacts: readonly Contact[]): readonly Contact[] {
  return contacts.filter(({ address }) => !address.startsWith("@"));
}

/** @throws Refusal `bad-address`, `bad-request`, `too-many-contacts` */
export function parseContacts(given: readonly Contact[]): readonly Contact[] {
  requireFew(given.length);
  const seen = new Map<string, number>();
  return given.map(({ address: text, ...noted }, index) => {
    const pointer = `/contacts/${index}/address`;
    const address = parseMember(text, pointer);
    const before = seen.get(address);
    if (before !== undefined) {
      throw new Refusal("bad-request", `${address} is listed twice.`, [
        { pointer, detail: `is the address of /contacts/${before} as well` },
      ]);
    }
    seen.set(address, index);
    return contactOf(address, noted as Members);
  });
}

/** What the property holds for these contacts. */
export function rosterOf(contacts: readonly Contact[]): Json {
  const people: { [address: string]: Json } = {};
  for (const { address, ...noted } of contacts) {
    if (Object.keys(noted).length > 0) people[address] = noted as Json;
  }
  const members = contacts.map(({ address }) => address);
  return Object.keys(people).length === 0 ? { members } : { members, people };
}

/** Adds contacts to a roster. Of those that are there already, what is said anew takes the place of what was said. */
export function mergedRoster(before: readonly Contact[], added: readonly Contact[]): readonly Contact[] {
  const merged = new Map(before.map((contact) => [contact.address, contact]));
  for (const contact of added) {
    merged.set(contact.address, { ...merged.get(contact.address), ...contact });
  }
  requireFew(merged.size);
  return [...merged.values()];
}

export function requireFew(count: number): void {
  if (count <= contactsMax) return;
  throw new Refusal("too-many-contacts", `A roster lists at most ${contactsMax} contacts.`);
}

/** The one spelling of an account's address or of a whole domain. */
export function parseMember(text: string, pointer: string): string {
  const domain = text.slice(1).toLowerCase();
  if (text.startsWith("@") && isDomain(domain)) return `@${domain}`;
  try {
    const address = parseAddress(text);
    if (address.path.length === 0) return address.text;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
  }
  const detail = "must be an account's address such as bob@example.com, or a domain such as @example.com";
  throw new Refusal("bad-address", "A contact is an account, or a whole domain.", [{ pointer, detail }]);
}

/** A petname that is the address says nothing, as does an empty list. */
function contactOf(address: string, noted: Json | undefined): Contact {
  const { name, groups, note } = objectOf(noted);
  const petname = typeof name === "string" ? name.trim() : "";
  const labels = [...new Set(textsOf(groups).map((one) => one.trim()))].filter((one) => one !== "");
  return {
    address,
    ...(petname !== "" && petname !== address && { name: petname }),
    ...(labels.length > 0 && { groups: labels }),
    ...(typeof note === "string" && note !== "" && { note }),
  };
}

function objectOf(value: Json | undefined): Members {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};
}

function textsOf(value: Json | undefined): readonly string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];
}
