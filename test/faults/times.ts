// Times: whether two sets of measurements differ.
// In: measurements in ms. Out: medians, and how likely it is that chance alone sets them so far apart. Never: a belief that they are normally distributed.

export function median(times: readonly number[]): number {
  const sorted = times.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[half] as number)
    : ((sorted[half - 1] as number) + (sorted[half] as number)) / 2;
}

/** Mann and Whitney's U test, two-sided, by its normal approximation: good from some twenty measurements on. */
export function likelihood(one: readonly number[], other: readonly number[]): number {
  const all = [
    ...one.map((time) => ({ time, isOne: true })),
    ...other.map((time) => ({ time, isOne: false })),
  ];
  all.sort((a, b) => a.time - b.time);
  let rankSum = 0;
  let ties = 0;
  for (let from = 0; from < all.length; ) {
    let to = from;
    while (to < all.length && all[to]?.time === all[from]?.time) to++;
    const count = to - from;
    // Equal ones share the mean of their ranks, which count from 1.
    rankSum += all.slice(from, to).filter(({ isOne }) => isOne).length * ((from + to + 1) / 2);
    ties += count ** 3 - count;
    from = to;
  }
  const [n, m, sum] = [one.length, other.length, all.length];
  const u = rankSum - (n * (n + 1)) / 2;
  const variance = ((n * m) / 12) * (sum + 1 - ties / (sum * (sum - 1)));
  if (variance === 0) return 1;
  return complementaryError(Math.abs(u - (n * m) / 2) / Math.sqrt(2 * variance));
}

/** Abramowitz and Stegun 7.1.26: off by 1.5e-7 at most. */
function complementaryError(x: number): number {
  const t = 1 / (1 + 0.3275911 * x);
  const sum = [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592].reduce(
    (total, factor) => total * t + factor,
    0,
  );
  return sum * t * Math.exp(-x * x);
}
