/** Loads on disks, made by fio: on several disks in turn within one process, so that a turn costs no start. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { timeProcess } from './whole-process.ts';

/** What is asked of a disk, without the page cache. */
export interface Load {
  readonly pattern: 'read' | 'write' | 'randread' | 'randwrite';
  /** Bytes of a request. */
  readonly block: number;
  /** Requests under way at once. */
  readonly depth: number;
}

/** A disk: a block device or a file by its path, or an NBD server by its URI. */
export type FioDisk = { readonly path: string } | { readonly uri: string };

/** One disk's turn. */
export interface Turn {
  readonly disk: FioDisk;
  /** Bytes that the requests stay within, and where the turn ends early when all have been asked for; else it is all of the disk, again and again. */
  readonly region?: { readonly offset: number; readonly size: number };
}

/** What a disk did in its turn. */
export interface TurnResult {
  readonly requests: number;
  /** Requests a second. */
  readonly rate: number;
}

/**
 * Makes a load on disks, one after another.
 *
 * @param milliseconds that each has.
 * @returns of each turn.
 */
export function runInTurn(
  { pattern, block, depth }: Load,
  turns: readonly Turn[],
  milliseconds: number,
): readonly TurnResult[] {
  const folder = mkdtempSync(join(tmpdir(), 'bench-fio-'));
  try {
    const output = join(folder, 'output');
    const jobs = [
      '[global]',
      ...[`rw=${pattern}`, `bs=${block}`, `iodepth=${depth}`, `runtime=${milliseconds}ms`],
      ...['direct=1', 'thread=1', 'stonewall', 'norandommap'],
      ...turns.flatMap(({ disk, region }, turn) => [
        `[turn${turn}]`,
        ...('uri' in disk
          ? ['ioengine=nbd', `uri=${disk.uri}`]
          : ['ioengine=libaio', `filename=${disk.path}`]),
        ...(region === undefined ? ['time_based'] : [`offset=${region.offset}`, `size=${region.size}`]),
      ]),
    ];
    timeProcess('fio', ['--output-format=json', `--output=${output}`, '-'], `${jobs.join('\n')}\n`);
    return readResults(readFileSync(output, 'utf8'), turns.length);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Writes all of a file, in place or anew. */
export function fillFile(path: string, size: number): void {
  const job = ['--name=fill', `--filename=${path}`, `--size=${size}`, '--rw=write', '--bs=1M', '--direct=1'];
  timeProcess('fio', [...job, '--ioengine=libaio', '--iodepth=8', '--minimal']);
}

function readResults(output: string, turns: number): readonly TurnResult[] {
  // What fio has to say comes before the document.
  const { jobs } = JSON.parse(output.slice(output.indexOf('{'))) as {
    readonly jobs: readonly { readonly read: FioSide; readonly write: FioSide; readonly error: number }[];
  };
  const results = jobs.map(({ read, write }) => ({
    requests: read.total_ios + write.total_ios,
    rate: read.iops + write.iops,
  }));
  const failed = jobs.find(({ error }) => error !== 0);
  if (failed !== undefined || results.length !== turns || results.some(({ rate }) => !(rate > 0))) {
    throw new Error(`fio did not do what was asked: ${output}`);
  }
  return results;
}

/** fio's figures of the requests in one direction. */
interface FioSide {
  readonly iops: number;
  readonly total_ios: number;
}
