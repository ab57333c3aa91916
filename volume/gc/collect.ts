/** Garbage collection: one pass over an SR by this host. */
import { reviveRoomWatcher } from '../../datapath/live-control/index.ts';
import { log } from '../../src/log.ts';
import { changeCatalog, readCatalog } from '../catalog/catalog.ts';
import { hasIntents } from '../catalog/intents.ts';
import type { Merge } from '../catalog/merges.ts';
import type { AttachedSr } from '../sr/attached.ts';
import { listMergeable } from './candidates.ts';
import { mergeOffline } from './merge-offline.ts';
import { mergeRunning } from './merge-running.ts';
import type { MergeOptions, MergeOutcome } from './merge-steps.ts';
import { keepReserve } from './reserve.ts';

/** What a pass did, in numbers of images. */
export interface Collected extends Readonly<Record<MergeOutcome, number>> {
  /** Whose merge failed; the log says why. */
  readonly failed: number;
}

/**
 * Merges what can be merged, what is least to write first, until nothing is left that this host can do now. Other
 * hosts may do the same at once: the images' locks keep them from the same merge.
 *
 * A merge that fails is logged, and does not keep the pass from the others.
 *
 * @throws the signal's reason; as readCatalog.
 */
export async function collect(sr: AttachedSr, options: MergeOptions): Promise<Collected> {
  await revive();
  await settle(sr);
  const counts = { merged: 0, busy: 0, gone: 0, 'no-room': 0, 'gave-way': 0, failed: 0 };
  const tried = new Set<string>();
  for (;;) {
    options.signal.throwIfAborted();
    const mergeable = await readCatalog(sr, ({ database }) => listMergeable(database));
    const [next] = mergeable.filter((merge) => !tried.has(nameOf(merge)));
    if (next === undefined) {
      await keepReserve(sr);
      return counts;
    }
    tried.add(nameOf(next));
    const done = counts.merged;
    const outcome = await attempt(sr, next, {
      ...options,
      // What is to come is known in number alone.
      onProgress: (progress) => options.onProgress((done + progress) / (done + mergeable.length)),
    });
    counts[outcome]++;
  }
}

/** Disks that are paused go on by themselves only while someone watches their room. */
async function revive(): Promise<void> {
  try {
    await reviveRoomWatcher();
  } catch (error) {
    log('warning', error instanceof Error ? error.message : String(error));
  }
}

/** Ends what dead calls left, with or without anything to merge: an image's file that nobody needs takes room. */
async function settle(sr: AttachedSr): Promise<void> {
  const isSettled = await readCatalog(sr, ({ database }) => !hasIntents(database, 'any'));
  if (!isSettled) await changeCatalog(sr, () => {});
}

async function attempt(
  sr: AttachedSr,
  merge: Merge,
  options: MergeOptions,
): Promise<MergeOutcome | 'failed'> {
  try {
    return (await mergeRunning(sr, merge, options)) ?? (await mergeOffline(sr, merge, options));
  } catch (error) {
    if (options.signal.aborted) throw error;
    log(
      'warning',
      `the image ${merge.child} of the SR ${sr.uuid} could not be merged into its parent: ${error instanceof Error ? error.message : String(error)}`,
    );
    return 'failed';
  }
}

function nameOf({ parent, child }: Merge): string {
  return `${parent} ${child}`;
}
