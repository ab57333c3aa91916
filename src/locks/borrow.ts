import { closeSync, fstatSync } from 'node:fs';
import { localLocks } from './holder.ts';
import { listDiskProcesses, openKeptLocks } from './kept-locks.ts';

/**
 * The shared lock that the process of a disk of this host has on an image: nobody may ask gfs2 for one more while it is
 * held here (see tryLock), and one more descriptor of the same open file holds it as well.
 *
 * @param fd the image, opened without a lock.
 * @returns a descriptor for the caller to close, and never to unlock or convert; undefined where no process has it.
 */
export function borrowLock(fd: number): number | undefined {
  if (!localLocks(fd).some(({ mode }) => mode === 'shared')) return undefined;
  const { dev, ino } = fstatSync(fd, { bigint: true });
  for (const pid of listDiskProcesses()) {
    const found = takeFrom(pid, (image) => image.dev === dev && image.ino === ino);
    if (found !== undefined) return found;
  }
  return undefined;
}

function takeFrom(pid: number, isIt: (image: { dev: bigint; ino: bigint }) => boolean): number | undefined {
  try {
    using kept = openKeptLocks(pid);
    const found = kept.images.find((image) => isIt(fstatSync(image, { bigint: true })));
    return found === undefined ? undefined : kept.keep(found);
  } catch {
    // It has ended meanwhile.
    return undefined;
  }
}

/** How many processes of disks of this host have an image locked. */
export function countKeepers(fd: number): number {
  const { dev, ino } = fstatSync(fd, { bigint: true });
  return listDiskProcesses().filter((pid) => {
    const found = takeFrom(pid, (image) => image.dev === dev && image.ino === ino);
    if (found !== undefined) closeSync(found);
    return found !== undefined;
  }).length;
}
