/**
 * Running disks, each against what a host would have without us on an image of its own that is alike: raw ones against
 * a bare loop device, qcow2 ones against a bare qemu-nbd, by the NBD client of fio.
 */
import { existsSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { DiskPlaces, qemuImg } from './disk-places.ts';
import { fillFile, type Load, runInTurn } from './fio.ts';
import { compareRates, type RateComparison } from './measure.ts';
import { activateDisk, bindLoop, processorTime, type ServedDisk, startQemuNbd } from './served-disks.ts';
import { timeProcess } from './whole-process.ts';

const KiB = 1 << 10;
const MiB = 1 << 20;
const GiB = 1 << 30;

/** How much is measured. */
export interface DatapathScale {
  /** Bytes of disks that hold data. */
  readonly filled: number;
  /** Every batch serves images anew, and goes to all loads of all of them; a round goes to all that serve one. */
  readonly batches: number;
  readonly roundsOfBatch: number;
  /** Milliseconds of a load in a round. */
  readonly turn: number;
}

/** The benchmark as its figures are kept, and a short look. */
export const datapathScales = {
  full: { filled: GiB, batches: 3, roundsOfBatch: 6, turn: 150 },
  quick: { filled: 256 * MiB, batches: 1, roundsOfBatch: 3, turn: 100 },
} as const satisfies Readonly<Record<string, DatapathScale>>;

/** What came of it. */
export interface DatapathFigures {
  /** Requests a second, of each round. */
  readonly rates: Readonly<Record<string, RateComparison>>;
  /**
   * Requests a second of the serving processes' processor time, of each batch: what the machine is busy with besides
   * hardly changes them. The kernel's loop devices have none of their own.
   */
  readonly processorRates: Readonly<Record<string, RateComparison>>;
}

/** What serves a disk. The last is the peer once more: its ratio would be 1 on a machine without noise. */
type Server = 'ours' | 'peer' | 'peer again';
const servers: readonly Server[] = ['ours', 'peer', 'peer again'];

/** A kind of disks. */
interface Kind {
  readonly name: string;
  readonly peer: string;
  readonly loads: readonly Load[];
  /** Bytes. Where it changes what a disk is when it is written, rounds write to parts of it, each once. */
  readonly size: number;
  readonly changes: boolean;
  /** Serves a disk of that kind; one that a write changes is as new. */
  serve(server: Server): Promise<ServedDisk>;
}

const sequential = [1, 8].map((depth) => ({ block: MiB, depth }));
const random = [1, 32].map((depth) => ({ block: 4 * KiB, depth }));
const reads: readonly Load[] = [
  ...sequential.map((load) => ({ pattern: 'read' as const, ...load })),
  ...random.map((load) => ({ pattern: 'randread' as const, ...load })),
];
const writes: readonly Load[] = [
  ...sequential.map((load) => ({ pattern: 'write' as const, ...load })),
  ...random.map((load) => ({ pattern: 'randwrite' as const, ...load })),
];

/**
 * Measures all of it.
 *
 * @param onDisk a folder on a filesystem that takes direct I/O.
 */
export async function benchDatapath(scale: DatapathScale, onDisk: string): Promise<DatapathFigures> {
  using places = new DiskPlaces(onDisk);
  const kinds = makeKinds(places, scale.filled);

  const found = new Map<string, { readonly kind: Kind } & Samples>();
  for (let batch = 0; batch < scale.batches; batch++) {
    for (const kind of kinds) {
      for (const load of kind.loads) {
        const title = `${kind.name}, ${describeLoad(load)}`;
        process.stderr.write(`batch ${batch + 1} of ${scale.batches}: ${title}\n`);
        const samples = found.get(title) ?? { kind, rates: noSamples(), processorRates: noSamples() };
        found.set(title, samples);
        await runBatch(kind, load, scale, samples);
      }
    }
  }
  const compareAs = (kind: Kind, samples: SamplesOf): RateComparison =>
    compareRates(
      { ours: samples.ours, [kind.peer]: samples.peer, [`${kind.peer} again`]: samples['peer again'] },
      kind.peer,
    );
  return {
    rates: Object.fromEntries([...found].map(([title, { kind, rates }]) => [title, compareAs(kind, rates)])),
    processorRates: Object.fromEntries(
      [...found]
        .filter(([, { processorRates }]) => processorRates.ours.length > 0)
        .map(([title, { kind, processorRates }]) => [title, compareAs(kind, processorRates)]),
    ),
  };
}

type SamplesOf = Readonly<Record<Server, number[]>>;

interface Samples {
  readonly rates: SamplesOf;
  readonly processorRates: SamplesOf;
}

function noSamples(): SamplesOf {
  return { ours: [], peer: [], 'peer again': [] };
}

/** Rounds of one load on disks of one kind; who is first changes from one round to the next. */
async function runBatch(
  kind: Kind,
  load: Load,
  { roundsOfBatch, turn }: DatapathScale,
  { rates, processorRates }: Samples,
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const disks: Partial<Record<Server, ServedDisk>> = {};
  for (const server of servers) disks[server] = stack.use(await kind.serve(server));
  const inParts = kind.changes && load.pattern.endsWith('write');
  const part = Math.floor(kind.size / roundsOfBatch / MiB) * MiB;
  // So that fast disks do not fill the filesystem.
  const size = Math.min(part, load.block * 4096);
  const turns = Array.from({ length: roundsOfBatch }, (_, round) =>
    servers
      .map((_each, place) => servers[(place + round) % servers.length] as Server)
      .map((server) => ({
        server,
        disk: (disks[server] as ServedDisk).disk,
        ...(inParts && { region: { offset: round * part, size } }),
      })),
  ).flat();
  const timeOf = (server: Server): number | undefined => {
    const pid = disks[server]?.pid;
    return pid === undefined ? undefined : processorTime(pid);
  };
  const before = servers.map(timeOf);
  const results = runInTurn(load, turns, turn);
  for (const [index, server] of servers.entries()) {
    const own = results.filter((_, place) => turns[place]?.server === server);
    rates[server].push(...own.map(({ rate }) => rate));
    const time = timeOf(server);
    if (time === undefined) continue;
    const requests = own.reduce((sum, result) => sum + result.requests, 0);
    processorRates[server].push((requests / (time - (before[index] ?? 0))) * 1e6);
  }
}

/** Makes what the disks of all kinds are made of. */
function makeKinds({ images, sockets, environment }: DiskPlaces, filled: number): readonly Kind[] {
  const file = (name: string): string => join(images, name);
  const raw = file('data.raw');
  fillFile(raw, filled);
  const parent = file('parent.qcow2');
  qemuImg('convert', [], '-f', 'raw', raw, parent);
  const wideSize = 1024 * GiB;
  const wide = file('wide.qcow2');
  qemuImg('create', ['preallocation=metadata'], '-f', 'qcow2', wide, String(wideSize));
  const emptySize = 64 * GiB;

  const serve = async (server: Server, image: string): Promise<ServedDisk> =>
    server === 'ours'
      ? await activateDisk('qcow2+file', image, environment)
      : await startQemuNbd(image, join(sockets, `${server}.nbd`));
  /** Serves an image of each server's own, which `make` makes anew, or else is alike. */
  const serveOwn =
    (name: string, make: (image: string) => void, again = true) =>
    async (server: Server): Promise<ServedDisk> => {
      const image = file(`${name.replaceAll(' ', '-')}-${server.replaceAll(' ', '-')}.qcow2`);
      if (again) rmSync(image, { force: true });
      if (!existsSync(image)) make(image);
      return await serve(server, image);
    };
  const copy = (of: string) => (image: string) => {
    // The same bytes, and the same holes.
    timeProcess('cp', ['--sparse=always', of, image]);
  };
  const qcow2 = { peer: 'qemu-nbd', size: filled, changes: false };
  return [
    {
      name: 'raw',
      peer: 'losetup',
      loads: [...reads, ...writes],
      size: filled,
      changes: false,
      serve: async (server) =>
        server === 'ours' ? await activateDisk('raw+file', raw, environment) : bindLoop(raw),
    },
    {
      ...qcow2,
      name: 'qcow2, empty',
      loads: writes,
      size: emptySize,
      changes: true,
      serve: serveOwn('empty', (image) => qemuImg('create', [], '-f', 'qcow2', image, String(emptySize))),
    },
    {
      ...qcow2,
      name: 'qcow2, filled',
      loads: [...reads, ...writes],
      serve: serveOwn('filled', copy(parent), false),
    },
    {
      ...qcow2,
      name: 'qcow2, on a parent',
      loads: [...reads, ...writes],
      changes: true,
      serve: serveOwn('child', (image) =>
        qemuImg(
          'create',
          [],
          '-f',
          'qcow2',
          '-u',
          '-b',
          basename(parent),
          '-F',
          'qcow2',
          image,
          String(filled),
        ),
      ),
    },
    {
      ...qcow2,
      name: 'qcow2, 1 TiB of holes with all its tables',
      loads: reads.filter(({ pattern }) => pattern === 'randread'),
      size: wideSize,
      serve: serveOwn('wide', copy(wide), false),
    },
  ];
}

function describeLoad({ pattern, block, depth }: Load): string {
  const words = { read: 'read', write: 'write', randread: 'random read', randwrite: 'random write' };
  return `${words[pattern]} of ${block / KiB} KiB, ${depth} at once`;
}
