/**
 * Merges of images that a running disk builds on, by its own process. The disk's own image is not concerned, and
 * whatever its guest does makes no merge longer.
 */
import { fstatSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { faultPoint } from '../../src/fault-point.ts';
import { countKeepers } from '../../src/locks/borrow.ts';
import { convertLock } from '../../src/locks/flock.ts';
import { localLocks } from '../../src/locks/holder.ts';
import { openKeptLocks } from '../../src/locks/kept-locks.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import { listChainNodes } from './graph.ts';
import { type LiveDisk, shareImage, withLiveDisk } from './live-disk.ts';
import { cancelMerge, findJob, mergeJobOf, waitUntilConcluded } from './merge-job.ts';
import { QmpRefusal } from './qmp.ts';
import { settleDisk } from './settle-disk.ts';

/** Two images of a running disk by their paths, of which the child builds on the parent. */
export interface LiveMerge {
  readonly parent: string;
  readonly child: string;
}

/** How far a merge is: `written` when the parent has it all, and `gone` where the disk's process knows of none. */
export type MergeState =
  | { readonly state: 'merging'; readonly progress: number }
  | { readonly state: 'written' }
  | { readonly state: 'failed'; readonly why: string }
  | { readonly state: 'gone' };

/**
 * Begins to write what a child holds into its parent.
 *
 * @param how `go on` to do that only where the process is at it, or has done it.
 * @param rate bytes a second at most; undefined for as fast as it goes.
 * @returns `busy` where someone else has one of the images, or the process is at another merge; `written` where the
 * disk does not build on the child any more, but on the parent, which has it all.
 * @throws PluginError `MergeFailed` with QEMU's words, `DiskUnresponsive`, `LocksUnknown`.
 */
export async function startMerge(
  disk: LiveDisk,
  merge: LiveMerge,
  how: 'begin' | 'go on',
  rate: number | undefined,
): Promise<'started' | 'written' | 'busy'> {
  return await withLiveDisk(disk, async (qmp) => {
    const job = await findJob(qmp);
    if (job !== undefined) return job.id === mergeJobOf(merge.child) ? 'started' : 'busy';
    using locks = openKeptLocks(disk.pid);
    const inodes = locks.images.map((fd) => fstatSync(fd).ino);
    const parent = inodes.indexOf(statSync(merge.parent).ino);
    const child = inodes.indexOf(statSync(merge.child).ino);
    if (parent > 0 && child < 0) return 'written';
    const lock = locks.images[parent];
    if (lock === undefined || child < 1 || parent !== child + 1 || how === 'go on') return 'busy';
    if (localLocks(lock).length > 1 || countKeepers(lock) > 1) return 'busy';
    // Nobody else has the two then, and nobody comes to them: whoever has the child has the parent too.
    if (!convertLock(lock, 'exclusive')) {
      await shareImage(lock, disk.path);
      return 'busy';
    }
    faultPoint('live-merge.locked');
    const chain = await listChainNodes(qmp);
    try {
      await qmp.execute('block-commit', {
        'job-id': mergeJobOf(merge.child),
        device: chain[0],
        'top-node': chain[child],
        'base-node': chain[parent],
        // The parent's file is to get the child's name.
        'backing-file': basename(merge.child),
        'auto-finalize': false,
        'auto-dismiss': false,
        ...(rate === undefined ? {} : { speed: rate }),
      });
    } catch (error) {
      await shareImage(lock, disk.path);
      throw toFailure(merge, error);
    }
    faultPoint('live-merge.started');
    return 'started';
  });
}

/** How far the merge of a child is. */
export async function askMerge(disk: LiveDisk, { child }: LiveMerge): Promise<MergeState> {
  return await withLiveDisk(disk, async (qmp) => {
    const job = await findJob(qmp);
    if (job?.id !== mergeJobOf(child)) return { state: 'gone' };
    if (job.error !== undefined) return { state: 'failed', why: job.error };
    if (job.status === 'pending' || job.status === 'concluded') return { state: 'written' };
    return { state: 'merging', progress: job['current-progress'] / Math.max(1, job['total-progress']) };
  });
}

/**
 * Ends a merge that is written: the disk builds on the parent from then on, and does not have the child.
 *
 * @throws PluginError `MergeFailed`, `DiskUnresponsive`.
 */
export async function endMerge(disk: LiveDisk, merge: LiveMerge): Promise<void> {
  await withLiveDisk(disk, async (qmp) => {
    const job = await findJob(qmp);
    if (job?.id === mergeJobOf(merge.child) && job.status === 'pending') {
      try {
        await qmp.execute('job-finalize', { id: job.id });
      } catch (error) {
        throw toFailure(merge, error);
      }
      faultPoint('live-merge.finalized');
      await waitUntilConcluded(qmp);
      const { error } = (await findJob(qmp)) ?? {};
      if (error !== undefined) throw failure(merge, error);
    }
    await settleDisk(disk, qmp);
    faultPoint('live-merge.settled');
  });
}

/** Gives up the merge that a disk's process is at, if any; it goes on another time. */
export async function giveUpMerge(disk: LiveDisk): Promise<void> {
  await withLiveDisk(disk, async (qmp) => {
    await cancelMerge(qmp);
    await settleDisk(disk, qmp);
  });
}

function toFailure(merge: LiveMerge, error: unknown): unknown {
  return error instanceof QmpRefusal ? failure(merge, error.message) : error;
}

function failure({ child }: LiveMerge, why: string): PluginError {
  return new PluginError(
    'MergeFailed',
    `The image ${child} could not be merged into its parent under its running disk: ${why}.`,
  );
}
