// Rules: a policy as an owner writes it, checked before it is kept.
// In: rules and parties as text. Out: the same in one spelling, or a Refusal that points at the place. Never: a rule that would grant more than it says.
import { isDomain, parseAddress } from "../core/address.ts";
import { requireNamePatterns } from "../core/name-pattern.ts";
import type { Grantable, Rule } from "../core/policy.ts";
import { Refusal } from "../core/refusal.ts";

/** A rule whose shape has been checked, but not its words. */
export interface RuleWish {
  readonly who: readonly string[];
  readonly properties: readonly string[];
  readonly allow: readonly Grantable[];
  readonly confirm?: boolean | undefined;
  readonly reveal?: readonly string[] | undefined;
}

const audiences: ReadonlySet<string> = new Set(["contacts", "authenticated", "anyone"]);

export function parseRules(wishes: readonly RuleWish[]): readonly Rule[] {
  return wishes.map(({ who, properties, allow, confirm, reveal }, index) => ({
    who: pointed(`/rules/${index}/who`, () => [...new Set(who.map(parseAudience))]),
    properties: pointed(`/rules/${index}/properties`, () => requireNamePatterns(properties)),
    allow: [...new Set(allow)],
    ...(confirm && { confirm }),
    ...(reveal &&
      reveal.length > 0 && { reveal: pointed(`/rules/${index}/reveal`, () => requireNames(reveal)) }),
  }));
}

/** Whom a block or a decision is about: an address, `@domain` or `anonymous`. */
export function parseWho(given: string): string {
  if (given === "anonymous") return given;
  return given.startsWith("@") ? parseDomain(given) : parseAddress(given).text;
}

function parseAudience(given: string): string {
  if (audiences.has(given)) return given;
  return given.startsWith("@") ? parseDomain(given) : parseAddress(given).text;
}

function parseDomain(given: string): string {
  const domain = given.slice(1).replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  if (!isDomain(domain))
    throw new Refusal("bad-address", "After the @ stands a domain, such as @example.com.");
  return `@${domain}`;
}

function requireNames(names: readonly string[]): readonly string[] {
  if (names.some((name) => name.endsWith("*"))) {
    throw new Refusal("bad-name", "What is to be disclosed is named in full, without patterns.");
  }
  return requireNamePatterns(names);
}

function pointed<T>(pointer: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    throw new Refusal(error.code, error.message, [{ pointer, detail: error.message }]);
  }
}
