import { setPriority } from 'node:os';
import { type Collected, collect } from '../../volume/gc/collect.ts';
import { collectionTask } from '../../volume/gc/stop.ts';
import { readSettings } from '../../volume/plugin/settings.ts';
import { getAttached, listAttached } from '../../volume/sr/attached.ts';
import { runAsTask } from '../../volume/task/run.ts';
import { type Terminal, UsageError } from '../command.ts';

/** For what guests wait for comes first. */
const niceness = 19;

/** `gfs2-sr gc run` */
export async function run(args: readonly string[], { print, note }: Terminal): Promise<void> {
  const { srs, rate } = readArguments(args);
  setPriority(niceness);
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => stop.abort(new Error(`it was stopped by ${signal}`)));
  }
  let failure: unknown;
  for (const sr of srs) {
    try {
      const attached = getAttached(sr);
      const collected = await runAsTask(
        { what: collectionTask, sr: attached.uuid, dbg: 'gfs2-sr gc run' },
        ({ signal, report }) =>
          collect(attached, { signal: AbortSignal.any([signal, stop.signal]), rate, onProgress: report }),
      );
      print(describe(attached.uuid, collected));
    } catch (error) {
      if (stop.signal.aborted || srs.length === 1) throw error;
      note(`${sr}: ${error instanceof Error ? error.message : String(error)}`);
      failure = error;
    }
  }
  if (failure !== undefined) throw new Error('the garbage of some SRs was not collected');
}

function readArguments(args: readonly string[]): {
  readonly srs: readonly string[];
  readonly rate: number | undefined;
} {
  const at = args.indexOf('--rate');
  const [which, ...others] = at === -1 ? args : args.toSpliced(at, 2);
  if (which === undefined || others.length > 0) {
    throw new UsageError('one SR must be named by its uuid, or --all');
  }
  const given = at === -1 ? undefined : (args[at + 1] ?? '');
  if (given !== undefined && !/^[1-9]\d{0,5}$/.test(given)) {
    throw new UsageError('--rate takes a whole number of MiB a second');
  }
  const mebibytes = given === undefined ? readSettings().collectionRate : Number(given);
  return {
    srs: which === '--all' ? listAttached() : [which],
    rate: mebibytes === undefined ? undefined : mebibytes * 1_048_576,
  };
}

function describe(sr: string, collected: Collected): string {
  const kept = [
    [collected.busy, 'in use'],
    [collected['gave-way'], 'gave way to who needed them'],
    [collected['no-room'], 'without the room that a merge needs'],
    [collected.failed, 'failed, see the log'],
  ] as const;
  const why = kept.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
  return `${sr}: ${collected.merged} images merged${why.length === 0 ? '' : `, left for later: ${why.join(', ')}`}`;
}
