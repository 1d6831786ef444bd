// Cursors: how far a reader has come, opaque outside.
// In: an epoch, a term and a position of the log, an hour. Out: text for `id:` and `after`, and back. Never: trust in what a client sends.
import { Refusal } from "./refusal.ts";

export interface Cursor {
  /** The log that it was given for. */
  readonly epoch: string;
  /** The stretch of the log's history that the position lies in (watch/history.ts). */
  readonly term: string;
  /** Everything up to here has been told. */
  readonly position: number;
  /** When it was given, in hours since 1970: what has ended is not remembered for ever. */
  readonly hour: number;
}

export const hourMs = 3_600_000;
const cursorPattern = /^([a-z0-9]{1,32})-([0-9a-z]{1,11})-([a-z0-9]{1,16})-([0-9a-z]{1,6})$/;

export function formatCursor({ epoch, term, position, hour }: Cursor): string {
  return `${epoch}-${position.toString(36)}-${term}-${hour.toString(36)}`;
}

export function parseCursor(text: string): Cursor {
  const [, epoch = "", at = "", term = "", given = ""] = cursorPattern.exec(text) ?? [];
  const position = Number.parseInt(at, 36);
  const hour = Number.parseInt(given, 36);
  // A second spelling of the same position (leading zeros) is nobody's cursor.
  if (!Number.isSafeInteger(position) || position.toString(36) !== at || hour.toString(36) !== given) {
    throw new Refusal("bad-cursor", "The cursor is malformed.");
  }
  return { epoch, term, position, hour };
}
