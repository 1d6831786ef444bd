// vCards: a roster as text that address books read and write (vCard 4.0, RFC 6350).
// In: contacts, or the text of cards. Out: the text, or contacts in the order of their cards. Never: a guess at what a card means, or a part of what was sent.
import ICAL from "ical.js";
import { Refusal } from "../core/refusal.ts";
import { type Contact, contactsMax, parseMember, requireFew } from "../core/roster.ts";

export const vcardType = "text/vcard";

const version = "4.0";
/** RFC 7565 §4: how an account is named by a URI. */
const scheme = "acct:";
/** A whole domain has no URI; RFC 6350 §6.10 leaves names such as this one to whoever needs them. */
const domainName = "x-tidings-domain";
/** RFC 6350 §5.3: 1 is preferred most; what does not say comes last. */
const leastPreferred = 101;
/** As the type of `contacts` has them. */
const lengths = { name: 128, label: 64, note: 1_024, labels: 16 } as const;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it looks for
const controls = /[\x00-\x1f\x7f]/;

/** A property of a card as jCard has it (RFC 7095 §3.3): name, parameters, type, values. */
type Line = readonly [name: string, parameters: Readonly<Record<string, unknown>>, ...rest: unknown[]];
type Card = readonly [component: string, lines: readonly Line[], within: readonly unknown[]];

export function writeCards(contacts: readonly Contact[]): string {
  return contacts.map((contact) => `${ICAL.stringify(cardOf(contact))}\r\n`).join("");
}

function cardOf({ address, name, groups, note }: Contact): unknown[] {
  const isDomain = address.startsWith("@");
  const lines: unknown[][] = [
    ["version", {}, "text", version],
    ["fn", {}, "text", name ?? address],
  ];
  if (isDomain) lines.push(["kind", {}, "text", "org"], [domainName, {}, "unknown", address]);
  else lines.push(["impp", {}, "uri", `${scheme}${address}`]);
  // A line each (RFC 6350 §6.7.1): the library would not part what follows a backslash at a label's end.
  for (const label of groups ?? []) lines.push(["categories", {}, "text", label]);
  if (note !== undefined) lines.push(["note", {}, "text", note]);
  return ["vcard", lines, []];
}

/** @throws Refusal `bad-vcard`, `too-many-contacts` */
export function readCards(text: string): readonly Contact[] {
  const cards = parse(text);
  if (cards.length === 0) throw new Refusal("bad-vcard", "There is no card in the body.");
  requireFew(cards.length);
  const seen = new Map<string, number>();
  return cards.map((card, index) => {
    const contact = readCard(card, index + 1);
    const before = seen.get(contact.address);
    if (before !== undefined) {
      throw broken(index + 1, `has the address of card ${before}; put what they say into one card`);
    }
    seen.set(contact.address, index + 1);
    return contact;
  });
}

function parse(text: string): readonly Card[] {
  requireFew(beginningsIn(text));
  let parsed: unknown;
  try {
    parsed = ICAL.parse(plain(text));
  } catch (error) {
    const said = (error as Error).message.replace(/[^\x20-\x7e]/g, "?").slice(0, 120);
    throw new Refusal("bad-vcard", `The cards cannot be read to their end: ${said}.`);
  }
  const list = parsed as readonly unknown[];
  return (typeof list[0] === "string" ? [list] : list) as readonly Card[];
}

/** Counted before they are read, and no further than it matters. */
function beginningsIn(text: string): number {
  const beginning = /^BEGIN:VCARD/gim;
  let found = 0;
  while (found <= contactsMax && beginning.test(text)) found++;
  return found;
}

/**
 * Unfolded (RFC 6350 §3.2), and without the backslashes before semicolons: §3.4 lets writers put them into any value, and
 * the library takes them away from compound ones only, of which none is read here.
 */
function plain(text: string): string {
  return text
    .replace(/\r?\n[ \t]/g, "")
    .replace(/\\([\\;])/g, (escaped, next) => (next === ";" ? ";" : escaped));
}

function readCard([component, lines, within]: Card, number: number): Contact {
  if (component !== "vcard" || within.length > 0) throw broken(number, "is not one vCard");
  const versions = textsOf(lines, "version");
  if (versions[0] !== version || versions.length > 1) {
    const found =
      versions.length === 1 ? `is of version ${versions[0]?.slice(0, 10)}` : "has not one VERSION";
    throw broken(number, `${found}; export the cards as vCard ${version}`);
  }
  const address = addressOf(lines, number);
  const name = requireShort((textsOf(lines, "fn")[0] ?? "").trim(), lengths.name, "FN", number);
  const labels = textsOf(lines, "categories").map((one) => one.trim());
  const groups = [...new Set(labels)].filter((one) => one !== "");
  if (groups.length > lengths.labels) throw broken(number, `has more than ${lengths.labels} CATEGORIES`);
  for (const one of groups) requireShort(one, lengths.label, "CATEGORIES", number);
  const note = requireShort(textsOf(lines, "note").join("\n"), lengths.note, "NOTE", number);
  return {
    address,
    ...(name !== "" && name !== address && { name }),
    ...(groups.length > 0 && { groups }),
    ...(note !== "" && { note }),
  };
}

function addressOf(lines: readonly Line[], number: number): string {
  const uris = [...textsOf(lines, "impp"), ...textsOf(lines, "url")].filter((uri) =>
    uri.toLowerCase().startsWith(scheme),
  );
  const found = uris[0]?.slice(scheme.length) ?? textsOf(lines, domainName)[0];
  if (found === undefined) {
    throw broken(number, "names no address: it needs a line such as IMPP:acct:bob@example.com");
  }
  try {
    return parseMember(found.trim(), "");
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    throw broken(number, "has an acct: address that is none");
  }
}

/** The texts of all lines of this name, the preferred ones first. */
function textsOf(lines: readonly Line[], name: string): readonly string[] {
  const found = lines.filter((line) => line[0] === name);
  const sorted = found.toSorted((one, other) => preference(one) - preference(other));
  return sorted.flatMap(([, , , ...values]) => values.flat()).filter((value) => typeof value === "string");
}

function preference([, parameters]: Line): number {
  const value = Number(parameters.pref);
  return value >= 1 && value < leastPreferred ? value : leastPreferred;
}

function requireShort(text: string, lengthMax: number, what: string, number: number): string {
  // JSON Schema counts characters, not UTF-16 units.
  if (text.length > lengthMax && [...text].length > lengthMax) {
    throw broken(number, `has a ${what} of more than ${lengthMax} characters`);
  }
  const line = what === "NOTE" ? text.replace(/[\t\n]/g, "") : text;
  if (controls.test(line)) throw broken(number, `has control characters in ${what}`);
  return text;
}

function broken(number: number, what: string): Refusal {
  return new Refusal("bad-vcard", `Card ${number} ${what}.`);
}
