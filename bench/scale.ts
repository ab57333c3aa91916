/**
 * How the costs of calls grow with the size and the depth of a volume and with the number of volumes: snapshots and
 * clones against a bare `qemu-img create` of the same image, SR.ls with its system calls, and what changes of the
 * catalog and its backups cost.
 */
import { closeSync, copyFileSync, fsyncSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { CallName, Parameters, Volume } from '../src/smapi/interface.ts';
import { qcow2Options } from '../test/support/qcow2-options.ts';
import { entryFile, formatRequest, volumePluginFolder } from '../test/support/xapi.ts';
import { backUpCatalog } from '../volume/catalog/backup.ts';
import { backupsFolder, catalogFile, imagesFolder } from '../volume/layout/sr-folder.ts';
import type { Chart, Curve } from './chart.ts';
import { type Comparison, compareAll, type Measurement } from './measure.ts';
import { imageOf, ScaleSr } from './scale-sr.ts';
import { fromStart } from './standby.ts';
import { timeProcess } from './whole-process.ts';

/** How much is measured. */
export interface Scale {
  /** Numbers of volumes in the SR, growing. */
  readonly volumes: readonly number[];
  /** Virtual sizes, in GiB. */
  readonly sizes: readonly number[];
  /** Images of the volume that a snapshot is taken of. */
  readonly depths: readonly number[];
  readonly rounds: number;
}

/** The benchmark as its figures are kept, and a short look. */
export const scales = {
  full: {
    volumes: [10, 100, 1000, 10_000],
    sizes: [1, 64, 1024, 16_384],
    depths: [1, 4, 16, 29],
    rounds: 7,
  },
  quick: { volumes: [10, 1000], sizes: [1, 16_384], depths: [1, 29], rounds: 3 },
} as const satisfies Readonly<Record<string, Scale>>;

/** What SR.ls does beside answering. */
export interface Listing {
  readonly volumes: number;
  /** Bytes. */
  readonly answer: number;
  readonly systemCalls: {
    /** Of all processes of the call. */
    readonly all: number;
    /** Those that name the catalog, or a file in the folder of images. */
    readonly onCatalog: number;
    readonly onImages: number;
    /** The same of a Volume.stat, which looks at the one image: so they would be seen. */
    readonly onImagesByStat: number;
  };
  /** What SQLite was made to run, in this order. */
  readonly queries: readonly string[];
}

/** What came of it. */
export interface ScaleFigures {
  readonly comparisons: Readonly<Record<string, Comparison>>;
  readonly listings: readonly Listing[];
  readonly charts: readonly Chart[];
}

/** What the cost of one thing is at each place of a curve. */
type Growth = readonly Comparison[];

const bare = 'qemu-img create';
const start = 'Plugin.Query';
const withoutStandby = 'snapshot, nobody standing by';
const makers = [bare, `${bare} -u`, start, 'snapshot', 'clone', 'clone of a snapshot', withoutStandby];

/** Measures all of it, at all places of a curve in turn. */
export async function benchScale({ volumes, sizes, depths, rounds }: Scale): Promise<ScaleFigures> {
  await using stack = new AsyncDisposableStack();
  const makeSr = async (others: number): Promise<ScaleSr> => {
    const made = stack.use(await ScaleSr.make());
    made.grow(others);
    return made;
  };
  const few = await makeSr(0);
  const many = await inTurn(volumes, makeSr);
  const comparisons: Record<string, Comparison> = {};
  const measure = async (
    titles: readonly string[],
    places: readonly Readonly<Record<string, Measurement>>[],
    peer: string,
  ): Promise<Growth> => {
    process.stderr.write(`${titles.join('; ')}\n`);
    const growth = await compareAll(places, peer, rounds);
    for (const [place, comparison] of growth.entries()) comparisons[titles[place] ?? ''] = comparison;
    return growth;
  };
  const making = async (
    titles: readonly string[],
    places: readonly (readonly [ScaleSr, number, number])[],
  ): Promise<Growth> =>
    await measure(
      titles,
      await inTurn(places, ([bench, size, depth]) => measureMaking(bench, BigInt(size) << 30n, depth)),
      bare,
    );

  const bySize = await making(
    sizes.map((size) => `${size} GiB, 1 image deep`),
    sizes.map((size) => [few, size, 1]),
  );
  const byDepth = await making(
    depths.map((depth) => `32 GiB, ${depth} images deep`),
    depths.map((depth) => [few, 32, depth]),
  );
  const byVolumes = await making(
    volumes.map((count) => `32 GiB, 4 images deep, ${count} volumes`),
    many.map((bench) => [bench, 32, 4]),
  );
  const lists = await measure(
    volumes.map((count) => `SR.ls, ${count} volumes`),
    many.map((bench) => measureCall(bench, 'SR.ls', { sr: bench.sr })),
    start,
  );
  const sets = await inTurn(many, async (bench) => {
    const { key } = (await bench.xapi('SR.ls', { sr: bench.sr }))[0] as Volume;
    return { bench, set: { sr: bench.sr, key, k: 'a key', v: 'a value' } };
  });
  const listings = sets.map(({ bench, set }, place) => inspectListing(bench, volumes[place] ?? 0, set.key));
  const changes = await measure(
    volumes.map((count) => `Volume.set, ${count} volumes`),
    sets.map(({ bench, set }) => measureCall(bench, 'Volume.set', set)),
    start,
  );
  const backups = await measure(
    volumes.map((count) => `catalog of ${count} volumes`),
    sets.map(({ bench, set }) => measureBackup(bench, set)),
    'copy and fsync',
  );

  const labels = volumes.map(String);
  const chart = (title: string, places: string, at: readonly string[], curves: readonly Curve[]): Chart => ({
    title,
    places,
    labels: at,
    values: 'median, ms',
    curves,
  });
  return {
    comparisons,
    listings,
    charts: [
      chart('Volumes by their size', 'virtual size, GiB', sizes.map(String), curvesOf(bySize, makers)),
      chart('Volumes by their depth', 'images in the chain', depths.map(String), curvesOf(byDepth, makers)),
      chart('Volumes by their number', 'volumes in the SR', labels, curvesOf(byVolumes, makers)),
      chart('SR.ls', 'volumes in the SR', labels, curvesOf(lists, [start, 'SR.ls'])),
      chart('Changes of the catalog', 'volumes in the SR', labels, [
        ...curvesOf(changes, [start, 'Volume.set']),
        ...curvesOf(backups, ['copy and fsync', 'backup']),
      ]),
    ],
  };
}

/** A snapshot and two kinds of clones, whole calls, against qemu-img on the same parent. */
async function measureMaking(
  bench: ScaleSr,
  size: bigint,
  depth: number,
): Promise<Readonly<Record<string, Measurement>>> {
  const snapshot = await bench.makeSnapshot(size, depth);
  const shorter = depth === 1 ? undefined : await bench.makeSnapshot(size, depth - 1);
  const parent = imageOf(snapshot);
  const file = join(bench.folder, 'bare.qcow2');
  const qemuImg = (...flags: readonly string[]): number => {
    rmSync(file, { force: true });
    const options = ['-q', '-f', 'qcow2', '-o', qcow2Options, ...flags, '-b', parent, '-F', 'qcow2'];
    return timeProcess('qemu-img', ['create', ...options, file, String(size)]).milliseconds;
  };
  const ofWritten = async (
    call: 'Volume.snapshot' | 'Volume.clone',
    environment: Readonly<Record<string, string>> = {},
  ): Promise<number> => {
    const key = await bench.makeWritten(size, shorter?.key);
    const time = await bench.timeMaking(call, key, environment);
    await bench.destroy(key);
    return time;
  };
  return {
    [bare]: () => qemuImg(),
    [`${bare} -u`]: () => qemuImg('-u'),
    [start]: () => bench.time('Plugin.query', {}),
    snapshot: () => ofWritten('Volume.snapshot'),
    clone: () => ofWritten('Volume.clone'),
    'clone of a snapshot': () => bench.timeMaking('Volume.clone', snapshot.key),
    [withoutStandby]: () => ofWritten('Volume.snapshot', fromStart),
  };
}

function measureCall<N extends CallName>(
  bench: ScaleSr,
  name: N,
  parameters: Omit<Parameters<N>, 'dbg'>,
): Readonly<Record<string, Measurement>> {
  return { [start]: () => bench.time('Plugin.query', {}), [name]: () => bench.time(name, parameters) };
}

/** A backup of the catalog, which one change in 64 makes, without a call around it. */
function measureBackup(
  bench: ScaleSr,
  set: Omit<Parameters<'Volume.set'>, 'dbg'>,
): Readonly<Record<string, Measurement>> {
  const folder = backupsFolder(bench.path);
  const copy = join(bench.folder, 'copy');
  return {
    'copy and fsync': () => {
      const begin = performance.now();
      copyFileSync(catalogFile(bench.path), copy);
      const fd = openSync(copy, 'r');
      fsyncSync(fd);
      closeSync(fd);
      return performance.now() - begin;
    },
    backup: async () => {
      await bench.time('Volume.set', set);
      // That may have been the one in 64.
      for (const name of readdirSync(folder)) rmSync(join(folder, name));
      const begin = performance.now();
      const damage = backUpCatalog(bench.path, bench.sr);
      const time = performance.now() - begin;
      if (damage !== undefined || readdirSync(folder).length !== 1) throw new Error(`no backup: ${damage}`);
      return time;
    },
  };
}

/** Looks at one SR.ls from outside, by strace, and at its queries from inside. */
function inspectListing(bench: ScaleSr, volumes: number, key: string): Listing {
  const { sr, path } = bench;
  const naming = (file: string, calls: readonly string[]): number =>
    calls.filter((line) => line.includes(file)).length;
  const ls = traceCall(bench, 'SR.ls', { sr });
  const stat = traceCall(bench, 'Volume.stat', { sr, key });
  const counter = join(import.meta.dirname, 'count-queries.ts');
  const counted = timeProcess(process.execPath, [counter, sr], '', bench.environment);
  return {
    volumes,
    answer: Buffer.byteLength(ls.stdout),
    systemCalls: {
      all: ls.systemCalls.length,
      onCatalog: naming(catalogFile(path), ls.systemCalls),
      onImages: naming(imagesFolder(path), ls.systemCalls),
      onImagesByStat: naming(imagesFolder(path), stat.systemCalls),
    },
    queries: JSON.parse(counted.stdout) as string[],
  };
}

/** Runs a call under strace; answers a line for each system call, with the names of the files that it is about. */
function traceCall<N extends CallName>(
  bench: ScaleSr,
  name: N,
  parameters: Omit<Parameters<N>, 'dbg'>,
): { readonly stdout: string; readonly systemCalls: readonly string[] } {
  const trace = join(bench.folder, 'trace');
  // -y names the files of descriptors, and -s 0 leaves out all texts but the names of files.
  const flags = ['-f', '-qq', '-y', '-s', '0', '-o', trace];
  const call = [entryFile(volumePluginFolder, name), '--json'];
  const { stdout } = timeProcess('strace', [...flags, ...call], formatRequest(name, parameters), {
    ...bench.environment,
    ...fromStart,
  });
  const lines = readFileSync(trace, 'utf8').split('\n');
  return { stdout, systemCalls: lines.filter((line) => /^\d+ +\w+\(/.test(line)) };
}

async function inTurn<T, U>(values: readonly T[], act: (value: T) => Promise<U>): Promise<readonly U[]> {
  const results: U[] = [];
  for (const value of values) results.push(await act(value));
  return results;
}

function curvesOf(growth: Growth, names: readonly string[]): readonly Curve[] {
  return names.map((name) => ({ name, values: growth.map(({ medians }) => medians[name] ?? 0) }));
}
