/**
 * How work in the background gives an image's lock up to who needs it: a merge may take hours, and a disk must start at
 * once. Nobody can see who waits for a flock(2) on another host, so that it is asked for by an extended attribute of
 * the image. Without extended attributes nobody gives way.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { posix } from '../posix/index.ts';
import { type LockMode, tryLock } from './flock.ts';

const attribute = 'user.gfs2-sr.background';
const atWork = 'at work';
const asked = 'asked';
const none = 'none';

/** How long who asks waits, in milliseconds: for the one at work to see it, and to end its command. */
const patience = 10_000;

/** Says that whoever has locked an image exclusively gives way when it is asked to. */
export function offerToGiveWay(fd: number): void {
  posix().setXattr(fd, attribute, atWork);
}

/** Whether someone needs the lock of an image. */
export function isAskedToGiveWay(fd: number): boolean {
  return posix().getXattr(fd, attribute) === asked;
}

/** Says that the one who has an image keeps it from now on. */
export function endGivingWay(fd: number): void {
  if (typeof posix().getXattr(fd, attribute) === 'string') posix().setXattr(fd, attribute, none);
}

/**
 * Locks an image that someone else has, where that one gives way.
 *
 * @param fd the image.
 * @returns whether the lock was taken; at once where nobody gives way.
 */
export async function lockFromBackground(fd: number, mode: LockMode): Promise<boolean> {
  const said = posix().getXattr(fd, attribute);
  // Others may have asked already: all of them are given way to.
  if (said !== atWork && said !== asked) return tryLock(fd, mode);
  if (said === atWork) posix().setXattr(fd, attribute, asked);
  const end = performance.now() + patience;
  while (!tryLock(fd, mode)) {
    if (performance.now() >= end) {
      // Nobody was there to see it.
      posix().setXattr(fd, attribute, none);
      return false;
    }
    // Another one at work may have come meanwhile.
    if (posix().getXattr(fd, attribute) === atWork) posix().setXattr(fd, attribute, asked);
    await sleep(50);
  }
  endGivingWay(fd);
  return true;
}
