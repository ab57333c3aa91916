import { closeSync, constants, openSync } from 'node:fs';
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
