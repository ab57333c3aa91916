/** Measures things side by side: in turn within one run, so that a drifting machine drifts for all. */

/** One thing to measure: runs once and returns its milliseconds. */
export type Measurement = () => Promise<number> | number;

/** What came of some measurements. */
export interface Comparison {
  /** Milliseconds: the median of each. */
  readonly medians: Readonly<Record<string, number>>;
  /** The median, over all rounds, of one's time over the peer's time in the same round. */
  readonly ratios: Readonly<Record<string, number>>;
  readonly rounds: number;
}

/**
 * Runs all measurements in turn, `rounds` times after one round that does not count.
 *
 * @param peer which of them the ratios are against.
 */
export async function compare(
  measurements: Readonly<Record<string, Measurement>>,
  peer: string,
  rounds: number,
): Promise<Comparison> {
  const times: Record<string, number[]> = Object.fromEntries(
    Object.keys(measurements).map((name) => [name, []]),
  );
  for (let round = 0; round <= rounds; round++) {
    for (const [name, measure] of Object.entries(measurements)) {
      const time = await measure();
      if (round > 0) times[name]?.push(time);
    }
  }
  const peerTimes = times[peer] ?? [];
  return {
    medians: mapValues(times, (values) => rounded(median(values))),
    ratios: mapValues(times, (values) =>
      rounded(median(values.map((value, round) => value / (peerTimes[round] ?? Number.NaN)))),
    ),
    rounds,
  };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

function rounded(value: number): number {
  return Number(value.toPrecision(3));
}

function mapValues<T, U>(record: Readonly<Record<string, T>>, map: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}
