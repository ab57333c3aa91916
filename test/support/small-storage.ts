/** A filesystem of its own for a test, that can be filled and emptied. */
import { execFileSync } from 'node:child_process';
import { rmSync, statfsSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const MiB = 2 ** 20;

/** A small filesystem that is mounted. */
export interface SmallStorage {
  /** Has no more than some mebibytes left. */
  leave(mebibytes: number): void;
  /** Gives back what was taken. */
  makeRoom(): void;
  unmount(): void;
}

/**
 * Mounts an ext4 of 2 GiB, on which disks are paused below 122 MiB, and go on at 183.
 *
 * @param file that takes it, sparse.
 */
export function mountSmallStorage(file: string, folder: string): SmallStorage {
  writeFileSync(file, '');
  truncateSync(file, 2048 * MiB);
  execFileSync('mkfs.ext4', ['-q', '-m', '0', '-E', 'lazy_itable_init=1', file]);
  execFileSync('mount', ['-o', 'loop', file, folder]);
  const ballast = join(folder, 'ballast');
  return {
    leave(mebibytes) {
      const { bavail, bsize } = statfsSync(folder);
      execFileSync('fallocate', ['-l', String(bavail * bsize - mebibytes * MiB), ballast]);
    },
    makeRoom: () => rmSync(ballast),
    unmount: () => execFileSync('umount', [folder]),
  };
}
