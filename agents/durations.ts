// Durations as people write them: P1D, PT10M, 10m, 90000, or a date.
// In: a duration or a moment. Out: milliseconds. Never: months or years, which have no fixed length.
import { AgentError, shown } from "./agent-error.ts";

const units: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};
const shortPattern = /^(\d+(?:\.\d+)?)(ms|s|m|h|d|w)$/;
const isoPattern = /^P(?=.)(?:(\d+)W)?(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/;
const msMax = 366 * 86_400_000;

/** `P1D`, `PT10M`, `10m`, or a number of milliseconds; at most 366 days. @throws AgentError */
export function durationMs(given: string | number): number {
  const ms = typeof given === "number" ? given : parsed(given);
  if (Number.isFinite(ms) && ms >= 0 && ms <= msMax) return ms;
  throw new AgentError(
    `"${shown(given)}" is no duration: write P1D, PT10M, 10m, or milliseconds, at most 366 days`,
  );
}

/** When that is, in ms since 1970. @throws AgentError */
export function dueMs(when: string | number | Date, nowMs: number): number {
  if (!(when instanceof Date)) return nowMs + durationMs(when);
  const ms = when.getTime();
  if (ms <= nowMs + msMax) return ms;
  throw new AgentError("a timer needs a date that is valid, and within 366 days");
}

function parsed(text: string): number {
  const [, count, unit = ""] = shortPattern.exec(text) ?? [];
  if (count !== undefined) return Number(count) * (units[unit] ?? Number.NaN);
  const found = isoPattern.exec(text);
  if (found === null) return Number.NaN;
  const [, weeks = 0, days = 0, hours = 0, minutes = 0, seconds = 0] = found;
  const wholeDays = Number(weeks) * 7 + Number(days);
  return (
    wholeDays * 86_400_000 + Number(hours) * 3_600_000 + Number(minutes) * 60_000 + Number(seconds) * 1000
  );
}
