// Words: what a text is to a search. Case, diacritics and ways of writing the same letter make no difference.
// In: texts and values that people wrote. Out: words. Never: more of them than the bounds, however long the text is.
import type { Json } from "../core/json.ts";

/** Of one property: what comes after that is not found. */
const textMax = 16_384;
const wordsMax = 500;
const wordLengthMax = 64;

/** Scripts that put no spaces between words: each sign is a word. */
const pattern =
  /[[\p{L}\p{N}]--[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]]+|[\p{L}\p{N}]/gv;

export function wordsOf(text: string): ReadonlySet<string> {
  const words = new Set<string>();
  addWords(words, text);
  return words;
}

/** The words of all texts and numbers in a value; its keys are not among them. */
export function wordsOfValue(value: Json): ReadonlySet<string> {
  const words = new Set<string>();
  let left = textMax;
  const visit = (part: Json): void => {
    if (left <= 0 || words.size >= wordsMax) return;
    if (typeof part === "string" || typeof part === "number") {
      const text = String(part).slice(0, left);
      left -= text.length;
      addWords(words, text);
    } else if (typeof part === "object" && part !== null) {
      for (const one of Object.values(part)) visit(one);
    }
  };
  visit(value);
  return words;
}

function addWords(words: Set<string>, text: string): void {
  for (const [word] of folded(text).matchAll(pattern)) {
    if (words.size >= wordsMax) return;
    words.add(word.length > wordLengthMax ? word.slice(0, wordLengthMax).toWellFormed() : word);
  }
}

/** ß is ss as in capitals, é is e, ﬁ is fi; a sigma at a word's end is one like any other. */
function folded(text: string): string {
  // Most texts are plain: the rest costs ten times as much.
  if (/^[\x20-\x7e]*$/.test(text)) return text.toLowerCase();
  return text
    .normalize("NFKD")
    .toLowerCase()
    .replace(/\p{M}+/gu, "")
    .replaceAll("ß", "ss")
    .replaceAll("ς", "σ");
}
