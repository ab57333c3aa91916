/**
 * Running disks, each against what a host would have without us on an image of its own that is alike: raw ones against
 * a bare loop device, qcow2 ones against a bare qemu-nbd, by the NBD client of fio; and what starting and ending them
 * takes.
 */
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  truncateSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { CallName } from '../src/smapi/interface.ts';
import { entryFile } from '../test/support/xapi.ts';
import { qcow2Options } from '../volume/images/qcow2-options.ts';
import { fillFile, type Load, runInTurn } from './fio.ts';
import {
  type Comparison,
  compareAll,
  compareRates,
  type Measurement,
  type RateComparison,
  type Start,
} from './measure.ts';
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
  /** Rounds of activation and deactivation. */
  readonly activations: number;
}

/** The benchmark as its figures are kept, and a short look. */
export const datapathScales = {
  full: { filled: GiB, batches: 3, roundsOfBatch: 6, turn: 150, activations: 30 },
  quick: { filled: 256 * MiB, batches: 1, roundsOfBatch: 3, turn: 100, activations: 5 },
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
  /** Milliseconds. */
  readonly activations: Readonly<Record<string, Comparison>>;
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
  using stack = new DisposableStack();
  const temporary = (parent: string): string => {
    mkdirSync(parent, { recursive: true });
    const made = mkdtempSync(join(parent, 'bench-datapath-'));
    stack.defer(() => rmSync(made, { recursive: true, force: true }));
    return made;
  };
  const images = temporary(onDisk);
  // Apart, for the path of a socket must be short.
  const sockets = temporary(tmpdir());
  requireDirectIo(images);
  const places: Places = { images, sockets, environment: { GFS2_SR_RUN_DIR: join(sockets, 'run') } };
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
    activations: await measureActivations(places, scale.activations),
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

interface Places {
  readonly images: string;
  readonly sockets: string;
  readonly environment: Readonly<Record<string, string>>;
}

/** Makes what the disks of all kinds are made of. */
function makeKinds({ images, sockets, environment }: Places, filled: number): readonly Kind[] {
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

/** Activation and deactivation as whole calls, against what starts and ends the peers. */
async function measureActivations(
  { images, sockets, environment }: Places,
  rounds: number,
): Promise<Readonly<Record<string, Comparison>>> {
  const raw = join(images, 'activated.raw');
  const image = join(images, 'activated.qcow2');
  closeSync(openSync(raw, 'wx'));
  truncateSync(raw, GiB);
  qemuImg('create', [], '-f', 'qcow2', image, String(GiB));
  const call = (scheme: string, name: CallName, uri?: string): number => {
    const parameters = { dbg: 'bench', ...(uri !== undefined && { uri, domain: '1' }) };
    const entry = entryFile(`datapath/${scheme}`, name);
    return timeProcess(entry, ['--json'], JSON.stringify(parameters), environment).milliseconds;
  };
  const onAndOff = (scheme: string, of: string): Readonly<Record<string, Measurement>> => {
    const uri = `${scheme}://${of}`;
    return {
      'Plugin.Query, twice': () => call(scheme, 'Plugin.query') + call(scheme, 'Plugin.query'),
      'activate, deactivate': () =>
        call(scheme, 'Datapath.activate', uri) + call(scheme, 'Datapath.deactivate', uri),
    };
  };
  const start: Start = { what: 'Plugin.Query, twice', of: ['activate, deactivate'] };
  const timed = async (use: () => Promise<ServedDisk>): Promise<number> => {
    const begin = performance.now();
    await (await use())[Symbol.asyncDispose]();
    return performance.now() - begin;
  };
  const [ofRaw] = await compareAll(
    [{ losetup: () => timed(async () => bindLoop(raw)), ...onAndOff('raw+file', raw) }],
    'losetup',
    rounds,
    start,
  );
  const [ofQcow2] = await compareAll(
    [
      {
        'qemu-nbd': () => timed(() => startQemuNbd(image, join(sockets, 'activated.nbd'))),
        ...onAndOff('qcow2+file', image),
      },
    ],
    'qemu-nbd',
    rounds,
    start,
  );
  return {
    'raw: start and end': ofRaw as Comparison,
    'qcow2: start and end, without a block device': ofQcow2 as Comparison,
  };
}

function describeLoad({ pattern, block, depth }: Load): string {
  const words = { read: 'read', write: 'write', randread: 'random read', randwrite: 'random write' };
  return `${words[pattern]} of ${block / KiB} KiB, ${depth} at once`;
}

function qemuImg(command: 'create' | 'convert', more: readonly string[], ...args: readonly string[]): void {
  const options = [qcow2Options, ...more].join(',');
  const format = command === 'convert' ? ['-O', 'qcow2', '-t', 'none', '-T', 'none'] : ['-q'];
  timeProcess('qemu-img', [command, ...format, '-o', options, ...args]);
}

function requireDirectIo(folder: string): void {
  const probe = join(folder, 'probe');
  try {
    closeSync(openSync(probe, constants.O_CREAT | constants.O_RDWR | constants.O_DIRECT, 0o600));
  } catch (error) {
    throw new Error(`the filesystem of ${folder} takes no direct I/O: run this on one that does`, {
      cause: error,
    });
  }
}
