/** The job by which a running disk's process merges two images that the disk builds on; its name tells the child. */
import { fstatSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { faultPoint } from '../../src/fault-point.ts';
import { openKeptLocks } from '../../src/locks/kept-locks.ts';
import type { LiveDisk } from './live-disk.ts';
import { type Qmp, QmpRefusal } from './qmp.ts';

const prefix = 'merge-';
/** Milliseconds between looks at a job that is about to end. */
const pause = 20;

/** A job, as query-jobs tells of it (qapi/job.json of QEMU). */
export interface Job {
  readonly id: string;
  readonly status: string;
  readonly 'current-progress': number;
  readonly 'total-progress': number;
  readonly error?: string;
}

/** The name of the job that merges an image into its parent. */
export function mergeJobOf(child: string): string {
  return `${prefix}${basename(child)}`;
}

/** The job that a process is at, or was at and nobody has asked about since. */
export async function findJob(qmp: Qmp): Promise<Job | undefined> {
  const [job] = (await qmp.execute('query-jobs')) as readonly Job[];
  return job;
}

/** Waits until a job is at its end. */
export async function waitUntilConcluded(qmp: Qmp): Promise<void> {
  for (;;) {
    const job = await findJob(qmp);
    if (job === undefined || job.status === 'concluded') return;
    await sleep(pause);
  }
}

/** Has a process stop a merge that is not at its end; it goes on another time. */
export async function cancelMerge(qmp: Qmp): Promise<void> {
  const job = await findJob(qmp);
  if (job === undefined || job.status === 'concluded') return;
  try {
    await qmp.execute('job-cancel', { id: job.id });
  } catch (error) {
    // It came to its end meanwhile.
    if (!(error instanceof QmpRefusal)) throw error;
  }
  await waitUntilConcluded(qmp);
}

/**
 * Has a process forget a merge that has come to its end; where all was written, its disk has one image less.
 *
 * @returns `merging` while there is one that has not.
 */
export async function forgetMerge(disk: LiveDisk, qmp: Qmp): Promise<'merging' | 'none'> {
  const job = await findJob(qmp);
  if (job === undefined) return 'none';
  if (job.status !== 'concluded') return 'merging';
  if (job.error === undefined) {
    // Its path is the child's still: it becomes the parent's only when the disk does not have the child any more.
    const child = statSync(join(dirname(disk.path), job.id.slice(prefix.length)), { throwIfNoEntry: false });
    using locks = openKeptLocks(disk.pid);
    const images = locks.images.filter((fd) => fstatSync(fd).ino !== child?.ino);
    if (images.length < locks.images.length) locks.replace({ ...locks, images });
    faultPoint('live-merge.unlocked');
  }
  await qmp.execute('job-dismiss', { id: job.id });
  faultPoint('live-merge.dismissed');
  return 'none';
}
