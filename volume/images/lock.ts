import { closeSync, constants, openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { tryLock } from '../../src/locks/flock.ts';

/** The exclusive lock of an image, until it is disposed of. */
export type ImageLock = Disposable;

/**
 * Takes the lock of an image, that is: makes sure that no disk runs on it, on any host.
 *
 * While the lock is held, a file that was unlinked keeps its blocks; freeing them, which takes long for
 * big images, is part of disposing.
 *
 * @returns undefined when someone has it. An image without a file is nobody's.
 */
export function lockImage(file: string): ImageLock | undefined {
  let fd: number;
  try {
    // O_NONBLOCK: a FIFO in an image's place must not stop us.
    fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { [Symbol.dispose]: () => {} };
    throw error;
  }
  if (tryLock(fd, 'exclusive')) return { [Symbol.dispose]: () => closeSync(fd) };
  closeSync(fd);
  return undefined;
}

/**
 * How long a lock is tried for where other hosts use the filesystem too, in milliseconds. A first try there can
 * fail only because another host's kernel still keeps a lock that was given up.
 */
const patience = 1_000;

/**
 * As {@link lockImage}, for an image that other hosts may have had.
 *
 * @param local whether only this host has the SR's images.
 */
export async function lockIdleImage(file: string, local: boolean): Promise<ImageLock | undefined> {
  for (let wait = 5, end = performance.now() + patience; ; wait = Math.min(wait * 2, 100)) {
    const lock = lockImage(file);
    if (lock !== undefined || local || performance.now() > end) return lock;
    await sleep(wait);
  }
}
