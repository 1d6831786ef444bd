// Seeded chance: the same seed makes the same choices, so that a failure can be run again.
// In: a seed. Out: numbers and picks. Never: Math.random.

export interface Random {
  /** A whole number from 0 up to, not including, this. */
  int(below: number): number;
  chance(probability: number): boolean;
  pick<T>(from: readonly T[]): T;
  /** A generator of its own, so that what one part draws does not shift what another gets. */
  fork(): Random;
}

export function seeded(seed: number): Random {
  let state = seed >>> 0;

  /** mulberry32: from 0 up to, not including, 1. */
  function next(): number {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  const int = (below: number): number => Math.floor(next() * below);
  return {
    int,
    chance: (probability) => next() < probability,
    pick: <T>(from: readonly T[]) => from[int(from.length)] as T,
    fork: () => seeded(int(2 ** 32)),
  };
}

/** The seeds of this run: a few fixed ones, fresh ones in the full run, or the one that somebody asks for. */
export function seedsOfRun(few: number, many: number): readonly number[] {
  const asked = process.env.TIDINGS_TEST_SEED;
  if (asked !== undefined && asked !== "") return [Number(asked)];
  if (process.env.TIDINGS_TEST_FULL !== "1") return Array.from({ length: few }, (_, index) => index + 1);
  return Array.from({ length: many }, () => crypto.getRandomValues(new Uint32Array(1))[0] as number);
}
