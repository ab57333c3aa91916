/** A disk in qcow2 that runs on this host, and what can be done with it while it goes on. */
import { setTimeout as sleep } from 'node:timers/promises';
import { waitsFor } from '../../src/deadline.ts';
import { convertLock } from '../../src/locks/flock.ts';
import { log } from '../../src/log.ts';
import type { NbdDevice } from '../nbd/device.ts';
import type { InputOutput } from './block-nodes.ts';
import { processPlaces } from './places.ts';
import { type Qmp, withQmp } from './qmp.ts';

/** Milliseconds for all that its process is asked; a flush of what the guest wrote is in it. */
const limit = 30_000;
/** Milliseconds for the lock of an image that is not written any more to become a shared one. */
const sharingLimit = 2_000;

/** A disk and its process. */
export interface ServedDisk {
  readonly key: string;
  readonly path: string;
  readonly pid: number;
  /** Its block device; undefined where it has none. */
  readonly device?: NbdDevice | undefined;
}

/** The same, with what its images are opened with. */
export interface LiveDisk extends ServedDisk {
  readonly io: InputOutput;
}

/**
 * Does something with the process of a disk.
 *
 * @throws PluginError `DiskUnresponsive`, also after 30 s.
 */
export async function withLiveDisk<T>(
  { key, pid, path }: ServedDisk,
  work: (qmp: Qmp) => Promise<T>,
): Promise<T> {
  waitsFor(`the process ${pid} of the image ${path}`, limit + sharingLimit);
  return await withQmp(processPlaces(key).qmp, limit, work);
}

/** Makes the lock of an image that is not written any more a shared one; of one that is shared nothing changes. */
export async function shareImage(fd: number, path: string): Promise<void> {
  const end = performance.now() + sharingLimit;
  // Another host may have taken it for a moment: between the two it is nobody's.
  while (!convertLock(fd, 'shared')) {
    if (performance.now() >= end) {
      log('warning', `an image that the running disk of ${path} builds on is locked by someone else`);
      return;
    }
    await sleep(20);
  }
}
