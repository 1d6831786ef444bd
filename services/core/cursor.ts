// Cursors: how far a reader has come, opaque outside.
// In: an epoch and a position of the log. Out: text for `id:` and `after`, and back. Never: trust in what a client sends.
import { Refusal } from "./refusal.ts";

export interface Cursor {
  readonly epoch: string;
  readonly position: number;
}

const cursorPattern = /^([a-z0-9]{1,32})-([0-9a-z]{1,11})$/;

export function formatCursor({ epoch, position }: Cursor): string {
  return `${epoch}-${position.toString(36)}`;
}

export function parseCursor(text: string): Cursor {
  const match = cursorPattern.exec(text);
  const position = Number.parseInt(match?.[2] ?? "", 36);
  // A second spelling of the same position (leading zeros) is nobody's cursor.
  if (match === null || !Number.isSafeInteger(position) || position.toString(36) !== match[2]) {
    throw new Refusal("bad-cursor", "The cursor is malformed.");
  }
  return { epoch: match[1] as string, position };
}
