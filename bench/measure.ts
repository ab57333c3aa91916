/** Measures things side by side: in turn within one run, so that a drifting machine drifts for all. */

/** One thing to measure: runs once and returns its milliseconds. */
export type Measurement = () => Promise<number> | number;

/** What came of some measurements. */
export interface Comparison {
  /** Milliseconds: the median of each. */
  readonly medians: Readonly<Record<string, number>>;
  /** Milliseconds: the least of each, which is what it takes where nobody else wants the processor. */
  readonly least: Readonly<Record<string, number>>;
  /** The median, over all rounds, of one's time over the peer's time in the same round. */
  readonly ratios: Readonly<Record<string, number>>;
  readonly rounds: number;
}

/** What came of measuring rates, such as requests a second: more is better. */
export interface RateComparison {
  /** The median of each. */
  readonly medians: Readonly<Record<string, number>>;
  /** The median, over all rounds, of one's rate over the peer's in the same round. */
  readonly ratios: Readonly<Record<string, number>>;
  /** Between what the middle half of those ratios lies: that of the peer's double is the machine's noise. */
  readonly middleHalves: Readonly<Record<string, readonly [number, number]>>;
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
  const [comparison] = await compareAll([measurements], peer, rounds);
  return comparison as Comparison;
}

/** The same at several places, each with all measurements; a round goes to all places. */
export async function compareAll(
  places: readonly Readonly<Record<string, Measurement>>[],
  peer: string,
  rounds: number,
): Promise<readonly Comparison[]> {
  const times = places.map((measurements): Record<string, number[]> => mapValues(measurements, () => []));
  for (let round = 0; round <= rounds; round++) {
    for (const [place, measurements] of places.entries()) {
      for (const [name, measure] of Object.entries(measurements)) {
        const time = await measure();
        if (round > 0) times[place]?.[name]?.push(time);
      }
    }
  }
  return times.map((found) => summarize(found, peer, rounds));
}

/** Summarizes rates of some things, each with one of every round. */
export function compareRates(
  rates: Readonly<Record<string, readonly number[]>>,
  peer: string,
): RateComparison {
  const peers = rates[peer] ?? [];
  const ratios = mapValues(rates, (values) =>
    values.map((rate, round) => rate / (peers[round] ?? Number.NaN)),
  );
  return {
    medians: mapValues(rates, (values) => rounded(median(values))),
    ratios: mapValues(ratios, (values) => rounded(median(values))),
    middleHalves: mapValues(ratios, (values) => [
      rounded(quantile(values, 1 / 4)),
      rounded(quantile(values, 3 / 4)),
    ]),
    rounds: peers.length,
  };
}

function summarize(
  times: Readonly<Record<string, readonly number[]>>,
  peer: string,
  rounds: number,
): Comparison {
  const at = (name: string, round: number): number => times[name]?.[round] ?? Number.NaN;
  const ratios = (values: readonly number[]): number =>
    rounded(median(values.map((value, round) => value / at(peer, round))));
  return {
    medians: mapValues(times, (values) => rounded(median(values))),
    least: mapValues(times, (values) => rounded(Math.min(...values))),
    ratios: mapValues(times, ratios),
    rounds,
  };
}

function median(values: readonly number[]): number {
  return quantile(values, 1 / 2);
}

/** Between two values where it falls between them. */
function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((left, right) => left - right);
  const place = (sorted.length - 1) * part;
  const lower = sorted[Math.floor(place)] ?? Number.NaN;
  return lower + ((sorted[Math.ceil(place)] ?? Number.NaN) - lower) * (place % 1);
}

function rounded(value: number): number {
  return Number(value.toPrecision(3));
}

function mapValues<T, U>(record: Readonly<Record<string, T>>, map: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}
