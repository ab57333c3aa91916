/** Data that a host writes and flushes while something happens to it, known outside as soon as it is safe. */
import { strict as assert } from 'node:assert';
import { blockSize } from '../on-host/blocks.ts';
import { eventually } from './eventually.ts';
import type { Host } from './host.ts';
import { programCommand, putPrograms } from './on-host.ts';

/** Blocks on a device, after which a writer begins again at the first place: 4 MiB. */
const room = 1024;

/** A block that its host has said to be on the medium. */
export interface Acknowledgement {
  /** Date.now() of its arrival here. */
  readonly time: number;
  /** Since the one before, by the host's clock. */
  readonly milliseconds: number;
}

/** A writer on a host. */
export interface Writer {
  readonly stamp: string;
  readonly acknowledgements: readonly Acknowledgement[];
  /** How many blocks are on the medium. */
  readonly count: number;
  /** Waits until some more blocks are on the medium; fails when the writer does, or after `within` seconds. */
  more(blocks: number, within: number): Promise<void>;
  /** Ends it, and fails where it has failed. */
  stop(): Promise<void>;
}

/** Starts to write to a device. Its host may lose its power meanwhile: what it said by then counts. */
export async function startWriter(host: Host, device: string): Promise<Writer> {
  const stamp = `${host.name}-${crypto.randomUUID()}`;
  const stopFile = `/run/lab-stop-${stamp}`;
  await putPrograms(host);
  const acknowledgements: Acknowledgement[] = [];
  let ended: { readonly failure?: unknown } | undefined;
  let skipped = false;
  const running = host
    .exec(programCommand('write-blocks', [device, stamp, String(room), stopFile]), {
      timeout: 3_600_000,
      onLine(line) {
        const [number, milliseconds] = line.split(' ').map(Number);
        skipped ||= number !== acknowledgements.length;
        acknowledgements.push({ time: Date.now(), milliseconds: milliseconds ?? 0 });
      },
    })
    .then(
      () => {
        ended = skipped ? { failure: new Error(`${host.name} skipped blocks`) } : {};
      },
      (failure: unknown) => {
        ended = { failure };
      },
    );
  const failIfEnded = (): void => {
    if (ended !== undefined) throw ended.failure ?? new Error(`The writer on ${host.name} has ended.`);
  };
  const writer: Writer = {
    stamp,
    acknowledgements,
    get count() {
      return acknowledgements.length;
    },
    async more(blocks, within) {
      const wanted = acknowledgements.length + blocks;
      await eventually(`${blocks} more blocks of ${host.name}`, { within, every: 0.2 }, async () => {
        assert(ended !== undefined || acknowledgements.length >= wanted, `${acknowledgements.length}`);
      });
      failIfEnded();
    },
    async stop() {
      if (ended === undefined) await host.exec(['touch', stopFile]);
      await running;
      await host.exec(['rm', '-f', stopFile]);
      if (ended?.failure !== undefined) throw ended.failure;
    },
  };
  await writer.more(1, 60);
  return writer;
}

/** The longest time between two blocks, in seconds, since the one after `from`. */
export function longestGap({ acknowledgements }: Writer, from = 1): number {
  return Math.max(0, ...acknowledgements.slice(from).map(({ milliseconds }) => milliseconds)) / 1000;
}

/** Compares what is on a device with what a writer said to be there; fails where something is missing. */
export async function checkBlocks(host: Host, device: string, writer: Writer): Promise<string> {
  const count = writer.acknowledgements.length;
  await putPrograms(host);
  const wrong = await host.sh(
    'dd if="$1" bs="$2" count="$3" iflag=direct,fullblock status=none | (shift 3; exec "$@")',
    [
      device,
      String(blockSize * 64),
      String(Math.ceil(Math.min(count, room) / 64)),
      ...programCommand('check-blocks', [writer.stamp, String(count), String(room)]),
    ],
    { timeout: 120_000 },
  );
  assert.equal(wrong, '', `${host.name} does not find what was acknowledged`);
  return `${count} acknowledged blocks are there`;
}
