/**
 * The files of the watcher of room, in `<run>/room/`:
 *
 *   watcher  held with flock(2), exclusively, by the watcher for as long as it lives; has its process's number
 *   gate     held by whoever makes sure that one lives, and by the watcher while it makes sure that nobody needs it
 *   told     written to when a disk has come, so that the watcher sees it at once
 *   log      what it printed, which is nothing unless it broke
 */
import { closeSync, fstatSync, mkdirSync, openSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { hostPaths } from '../../src/host-paths.ts';
import { tryLock } from '../../src/locks/flock.ts';
import { processState, readText } from '../../src/proc.ts';

export interface RoomPlaces {
  readonly folder: string;
  readonly watcher: string;
  readonly gate: string;
  readonly told: string;
  readonly log: string;
}

export function roomPlaces(): RoomPlaces {
  const folder = join(hostPaths.run, 'room');
  return {
    folder,
    watcher: join(folder, 'watcher'),
    gate: join(folder, 'gate'),
    told: join(folder, 'told'),
    log: join(folder, 'log'),
  };
}

/** Opens one of the files, to be locked. */
export function openRoomFile(file: string): number {
  mkdirSync(roomPlaces().folder, { recursive: true, mode: 0o700 });
  return openSync(file, 'a', 0o600);
}

/** Whether an open file still has its name. */
export function hasItsName(fd: number, file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.ino === fstatSync(fd).ino;
}

/**
 * Whether a watcher lives. One that was killed while the kernel holds it in a look at storage that hangs has the lock
 * until that answers, but does nothing any more.
 */
export function isRoomWatched(): boolean {
  let fd: number;
  try {
    fd = openSync(roomPlaces().watcher, 'r');
  } catch {
    return false;
  }
  try {
    if (tryLock(fd, 'shared')) return false;
    const pid = Number(readText(roomPlaces().watcher));
    return !(pid > 0) || !['Z', 'X', undefined].includes(processState(pid));
  } finally {
    closeSync(fd);
  }
}
