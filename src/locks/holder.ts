import { fstatSync } from 'node:fs';
import { readLines } from '../proc.ts';

/** A flock(2) that someone on this host has. */
export interface LocalLock {
  /** Of a lock that was handed on the process that took it, whose number may be another's now. */
  readonly pid: number;
  readonly mode: 'shared' | 'exclusive';
}

/**
 * The locks that this host has on a file, from /proc/locks; none where they are other hosts', or the kernel does not
 * show them.
 *
 * @param fd any descriptor of the file.
 */
export function localLocks(fd: number): readonly LocalLock[] {
  const { dev, ino } = fstatSync(fd);
  const file = `${hexadecimal((dev >> 8) & 0xfff)}:${hexadecimal((dev & 0xff) | ((dev >> 12) & 0xfff00))}:${ino}`;
  return readLines('/proc/locks').flatMap((line) => {
    // A line with "->" waits for the lock.
    const [, mode, pid, locked] = /^\S+ FLOCK\s+\S+\s+(\S+)\s+(\d+)\s+(\S+)\s/.exec(line) ?? [];
    return locked === file ? [{ pid: Number(pid), mode: mode === 'WRITE' ? 'exclusive' : 'shared' }] : [];
  });
}

/** The process on this host that took a flock(2) on a file, for messages only; see {@link localLocks}. */
export function localLockHolder(fd: number): number | undefined {
  return localLocks(fd)[0]?.pid;
}

// /proc/locks writes the numbers of a device with at least two digits.
function hexadecimal(number: number): string {
  return number.toString(16).padStart(2, '0');
}
