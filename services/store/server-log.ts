// What the embedded server's own files tell about it.
// In: its log and its error output. Out: the line that explains an end, and word of a store that no longer writes.
// Never: more than a bounded piece of a file in memory.

import { closeSync, openSync, readSync, statSync } from "node:fs";
import type { ServerFiles } from "./server-config.ts";

const pieceBytesMax = 4 * 1024 * 1024;

/** The first is said once, and may be lost if the log is on the same full disk; the second at every later write. */
const writeFailure =
  /critical write error|failed to store a msg.*(no space|quota exceeded|input\/output error|read-only)/i;

/** The line that explains an end, from this run's error output or else from the log. */
export function lastWords(files: ServerFiles, errorsBefore: number): string {
  const said =
    readFrom(files.errors, errorsBefore) || readFrom(files.log, Math.max(0, sizeOf(files.log) - 4096));
  const lines = said.split("\n").filter((line) => line.trim() !== "");
  const telling = lines.findLast((line) => /\[(FTL|ERR)\]|^panic:|^fatal error:|^nats-server:/.test(line));
  return (telling ?? lines.at(-1) ?? "").replace(/^\[\d+\] \S+ \S+ \[\w+\] /, "");
}

/**
 * A reader of the log that finds the store's permanent write failure, which no protocol message tells.
 * `reset` before each start, `failed` as often as wanted: it reads only what is new.
 */
export function watchForWriteFailure(files: ServerFiles): { reset(): void; failed(): boolean } {
  let position = 0;
  let failed = false;
  return {
    reset() {
      position = sizeOf(files.log);
      failed = false;
    },
    failed() {
      const size = sizeOf(files.log);
      if (failed || size === position) return failed;
      // Smaller than before: the log was rotated, and starts anew.
      const fresh = readFrom(files.log, size < position ? 0 : position);
      // A line may still be in the writing: the next look starts at its beginning.
      const whole = fresh.slice(0, fresh.lastIndexOf("\n") + 1);
      position = (size < position ? 0 : position) + Buffer.byteLength(whole);
      failed = writeFailure.test(whole);
      return failed;
    },
  };
}

export function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

function readFrom(path: string, from: number): string {
  const length = Math.min(sizeOf(path) - from, pieceBytesMax);
  if (length <= 0) return "";
  const file = openSync(path, "r");
  try {
    const buffer = Buffer.alloc(length);
    return buffer.subarray(0, readSync(file, buffer, 0, length, from)).toString("utf8");
  } finally {
    closeSync(file);
  }
}
