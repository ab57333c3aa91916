import { statfsSync } from 'node:fs';
import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { posix } from '../posix/index.ts';
import { PluginError } from '../smapi/errors.ts';
import { localLocks } from './holder.ts';

const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;
/** GFS2_MAGIC of linux/magic.h. */
const gfs2Magic = 0x01161970;

/** `shared` with others that share, or `exclusive`. */
export type LockMode = 'shared' | 'exclusive';

/**
 * Tries to lock an open file with flock(2), without waiting.
 *
 * The lock belongs to the open file description: it lasts until every descriptor of it is closed, also
 * those that another process or the kernel (a loop device) inherited, and ends with them. On gfs2 it
 * holds in the whole cluster, and a lost host's lock is handed over only after that host is fenced.
 *
 * Where another host has asked in vain for a lock that is held on this one, gfs2 lets everybody else here wait for its
 * holder, unable to be killed, though they ask not to wait (seen on Linux 6.1). So nobody asks for what he can see that
 * he will not get.
 *
 * @param fd has no lock yet; see {@link convertLock}.
 * @returns whether the lock was taken.
 */
export function tryLock(fd: number, mode: LockMode): boolean {
  const isRefused =
    isOnGfs2(fd) && localLocks(fd).some((held) => held.mode === 'exclusive' || mode === 'exclusive');
  return !isRefused && tryFlock(fd, mode);
}

/** Only there one has to look first: to read /proc/locks takes the kernel 10 ms and more (an RCU grace period). */
function isOnGfs2(fd: number): boolean {
  try {
    return statfsSync(`/proc/self/fd/${fd}`).type === gfs2Magic;
  } catch {
    // Without /proc there are no locks to be seen either.
    return false;
  }
}

/**
 * Makes the lock of an open file one of the other mode, which may fail; then it has none.
 *
 * @returns whether it was made that.
 */
export function convertLock(fd: number, mode: LockMode): boolean {
  return tryFlock(fd, mode);
}

function tryFlock(fd: number, mode: LockMode): boolean {
  const errno = posix().flock(fd, (mode === 'shared' ? LOCK_SH : LOCK_EX) | LOCK_NB);
  if (errno === 0) return true;
  if (errno === constants.errno.EWOULDBLOCK) return false;
  throw new PluginError('LockFailed', `A file could not be locked: flock answered errno ${errno}.`);
}

/** Gives a lock up before its descriptor is closed. */
export function unlock(fd: number): void {
  posix().flock(fd, LOCK_UN);
}

/**
 * Locks an open file with flock(2), trying until `deadline`.
 *
 * Waits between tries grow from 1 to 20 ms with some chance in them, so that hosts in a tight loop take
 * turns: flock itself is unfair.
 *
 * @param timeout milliseconds; behind a fence that cannot happen a lock never comes.
 * @param what what the lock guards, for the message.
 * @throws PluginError `LockTimeout` when the lock did not come in time.
 */
export async function lock(fd: number, mode: LockMode, timeout: number, what: string): Promise<void> {
  const end = performance.now() + timeout;
  for (let wait = 1; !tryLock(fd, mode); wait = Math.min(wait * 1.5, 20)) {
    if (performance.now() >= end) {
      throw new PluginError(
        'LockTimeout',
        `${await describeHolder(fd)} has held ${what} for ${timeout} ms; see whether it is busy or waits for a fence, and try again.`,
      );
    }
    await sleep(wait * (0.5 + Math.random()));
  }
}

async function describeHolder(fd: number): Promise<string> {
  const { programName } = await import('../proc.ts');
  const pid = localLocks(fd)[0]?.pid;
  return pid === undefined
    ? 'Another host or process'
    : `Process ${pid} (${programName(pid) ?? '?'}) of this host`;
}
