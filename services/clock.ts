// The clock: wall time that no step of the host's clock can move.
// In: nothing. Out: ms since 1970, rising steadily from what the wall clock said at start. Never: a leap, so that no lease ends early.

export function steadyClock(): () => number {
  const offset = Date.now() - performance.now();
  return () => offset + performance.now();
}
