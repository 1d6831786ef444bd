// Query targets: a standing query as the target of a subscription, in one line: `directory?q=chess&where=…`.
// In: what is looked for. Out: a target, and back. Never: a target that could be an address.

export interface QueryText {
  /** Words: all must stand in the node's address or in its visible properties. */
  readonly q?: string | undefined;
  /** CEL over visible properties. */
  readonly where?: string | undefined;
}

const prefix = "directory?";

export function targetOfQuery({ q, where }: QueryText): string {
  const parts: string[] = [];
  if (q !== undefined) parts.push(`q=${encodeURIComponent(q)}`);
  if (where !== undefined) parts.push(`where=${encodeURIComponent(where)}`);
  return `${prefix}${parts.join("&")}`;
}

/** Undefined where the target is somebody. */
export function queryOfTarget(target: string): QueryText | undefined {
  if (!target.startsWith(prefix)) return undefined;
  const found: { q?: string; where?: string } = {};
  for (const part of target.slice(prefix.length).split("&")) {
    const at = part.indexOf("=");
    const name = part.slice(0, at);
    if (name === "q" || name === "where") found[name] = decodeURIComponent(part.slice(at + 1));
  }
  return found;
}
