import { closeSync, openSync, readSync } from 'node:fs';

/**
 * How many changes a catalog has seen: the file change counter at byte 24 of an SQLite database
 * (sqlite.org/fileformat2.html), which grows by one with each connection that writes, so with each call.
 *
 * @returns undefined where the file is missing or too short to say.
 */
export function countChanges(file: string): number | undefined {
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const counter = Buffer.alloc(4);
    return readSync(fd, counter, 0, 4, 24) === 4 ? counter.readUInt32BE() : undefined;
  } finally {
    closeSync(fd);
  }
}
