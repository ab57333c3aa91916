import { fstatSync } from 'node:fs';
import { readLines } from '../proc.ts';

/**
 * The process on this host that took a flock(2) on a file, from /proc/locks; for messages only.
 *
 * @param fd any descriptor of the file.
 * @returns its number: of a lock that was handed on, the one that took it, which may be another's now.
 * Undefined where the lock is another host's, or the kernel does not show it.
 */
export function localLockHolder(fd: number): number | undefined {
  const { dev, ino } = fstatSync(fd);
  const file = `${hexadecimal((dev >> 8) & 0xfff)}:${hexadecimal((dev & 0xff) | ((dev >> 12) & 0xfff00))}:${ino}`;
  for (const line of readLines('/proc/locks')) {
    // A line with "->" waits for the lock.
    const [, pid, locked] = /^\S+ FLOCK\s+\S+\s+\S+\s+(\d+)\s+(\S+)\s/.exec(line) ?? [];
    if (locked === file) return Number(pid);
  }
  return undefined;
}

// /proc/locks writes the numbers of a device with at least two digits.
function hexadecimal(number: number): string {
  return number.toString(16).padStart(2, '0');
}
