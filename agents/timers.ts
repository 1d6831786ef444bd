// Timers: later, as a test or the system has it.
// In: a delay. Out: a call when it is over. Never: a call of one that was cleared.

export interface Timers {
  set(delayMs: number, due: () => void): unknown;
  clear(timer: unknown): void;
}

export const systemTimers: Timers = {
  set: (delayMs, due) => setTimeout(due, delayMs),
  clear: (timer) => clearTimeout(timer as NodeJS.Timeout),
};
