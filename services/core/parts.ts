// Parts: a long list as several short ones.
// In: a list, and how many go together. Out: parts in the same order. Never: an empty part.

export function inParts<T>(all: readonly T[], atOnce: number): readonly (readonly T[])[] {
  const parts: (readonly T[])[] = [];
  for (let at = 0; at < all.length; at += atOnce) parts.push(all.slice(at, at + atOnce));
  return parts;
}
