// Names as the broker knows them: addresses, property names and patterns over them.
// In: text. Out: whether it is one, and what it covers. Never: another rule than the broker's.

const addressPattern =
  /^[a-z0-9][a-z0-9._+-]{0,63}@[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?(?:\/[A-Za-z0-9._~-]{1,64}){0,8}$/;
const patternPattern = /^(?:\*|[a-z0-9][a-z0-9.-]{0,126}|[a-z0-9][a-z0-9.-]{0,124}\.\*)$/;

/** `alice@example.com` or `alice@example.com/bike`, in lower case before the path. */
export function isAddress(text: string): boolean {
  return addressPattern.test(text);
}

/** `travel`, `profile.*` or `*`. */
export function isPattern(text: string): boolean {
  return patternPattern.test(text);
}

/** Whether each name that the narrow pattern selects is selected by the wide one. A name is a pattern too. */
export function covers(wide: string, narrow: string): boolean {
  if (wide === "*" || wide === narrow) return true;
  return wide.endsWith(".*") && narrow.startsWith(wide.slice(0, -1));
}

export type Depth = "0" | "1" | "infinity";

/** Whether a node is that one, or lies under it within the depth. */
export function isWithin(node: string, top: string, depth: Depth): boolean {
  if (node === top) return true;
  if (depth === "0" || !node.startsWith(`${top}/`)) return false;
  return depth === "infinity" || !node.slice(top.length + 1).includes("/");
}
