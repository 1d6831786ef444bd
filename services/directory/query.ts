// Queries: what somebody looks for, compiled once and asked of one node after the other.
// In: words and an expression; then nodes, with what may be seen of them. Out: yes, no or too slow. Never: a look at anything but what it is given.
import type { Json } from "../core/json.ts";
import type { QueryText } from "../core/query-target.ts";
import { Refusal } from "../core/refusal.ts";
import type { Where } from "./where.ts";
import { wordsOf, wordsOfValue } from "./words.ts";

export interface Query {
  readonly words: readonly string[];
  readonly where: Where | undefined;
  /** The properties that it looks at; undefined: all. */
  readonly names: ReadonlySet<string> | undefined;
  /** @param properties those that whoever asks may see, by name; a node with none is for its owner alone to be found */
  matches(properties: ReadonlyMap<string, Json>, address: string, nowMs: number): "yes" | "no" | "too-slow";
}

const textMax = 512;
const wordsMax = 16;

/**
 * @param compile how an expression is read
 * @throws Refusal `bad-request`, `bad-filter`
 */
export function queryOf({ q, where }: QueryText, compile: (text: string) => Where): Query {
  if (q === undefined && where === undefined) {
    throw new Refusal(
      "bad-request",
      "Say what you look for: words in `q`, an expression in `where`, or both.",
    );
  }
  const words = q === undefined ? [] : parseWords(q);
  const expression = where === undefined ? undefined : compile(where);
  return {
    words,
    where: expression,
    names: words.length > 0 ? undefined : expression?.names,
    matches(properties, address, nowMs) {
      if (!hasWords(words, properties, address)) return "no";
      return expression === undefined ? "yes" : expression.test(address, properties, nowMs);
    },
  };
}

function parseWords(q: string): readonly string[] {
  if (q.length > textMax) {
    throw new Refusal("bad-request", `\`q\` has at most ${textMax} characters.`);
  }
  const words = [...wordsOf(q)];
  if (words.length === 0) throw new Refusal("bad-request", "`q` holds no word: letters or digits.");
  if (words.length > wordsMax) throw new Refusal("bad-request", `\`q\` holds at most ${wordsMax} words.`);
  return words;
}

function hasWords(words: readonly string[], properties: ReadonlyMap<string, Json>, address: string): boolean {
  if (words.length === 0) return true;
  const missing = new Set(words);
  for (const word of wordsOf(address)) missing.delete(word);
  for (const value of properties.values()) {
    if (missing.size === 0) return true;
    for (const word of wordsOfValue(value)) missing.delete(word);
  }
  return missing.size === 0;
}
