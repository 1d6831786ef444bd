// Patterns over property names: `travel`, `profile.*`, `*`.
// In: the text of a pattern. Out: a test on names. Never: a regular expression that a user wrote.
import { Refusal } from "./refusal.ts";
import { remembered } from "./remembered.ts";

const patternPattern = /^(\*|[a-z0-9][a-z0-9.-]{0,126}|[a-z0-9][a-z0-9.-]{0,124}\.\*)$/;

/** True for each name that one of the patterns selects; no patterns select every name. */
export function matchNames(patterns: readonly string[]): NameTest {
  return tests(patterns.join(","));
}

export type NameTest = (name: string) => boolean;

/** Thousands of watches ask for the same. */
const tests = remembered(1_000, (list: string) => testOf(list === "" ? [] : list.split(",")));

function testOf(patterns: readonly string[]): NameTest {
  if (patterns.length === 0 || patterns.includes("*")) return () => true;
  const exact = new Set<string>();
  const prefixes: string[] = [];
  for (const pattern of patterns) {
    if (pattern.endsWith(".*")) prefixes.push(pattern.slice(0, -1));
    else exact.add(pattern);
  }
  return (name) => exact.has(name) || prefixes.some((prefix) => name.startsWith(prefix));
}

/** Parses a comma-separated list such as `travel,profile.*`. */
export function parseNamePatterns(list: string): readonly string[] {
  return requireNamePatterns(list.split(","));
}

/** @returns the patterns, at most 100 */
export function requireNamePatterns(patterns: readonly string[]): readonly string[] {
  for (const pattern of patterns) {
    if (!patternPattern.test(pattern)) {
      throw new Refusal(
        "bad-name",
        "A list of names holds names such as travel, groups such as profile.*, or *.",
      );
    }
  }
  if (patterns.length > 100) throw new Refusal("bad-name", "At most 100 names fit into one list.");
  return patterns;
}
