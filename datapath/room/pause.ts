/**
 * A disk is paused by SIGSTOP to its process: the I/O of its NBD clients waits, and goes on with SIGCONT. What the
 * kernel has been given already is written meanwhile.
 */
import { existsSync } from 'node:fs';
import { PluginError } from '../../src/smapi/errors.ts';
import { type ActivationRecord, withActivationState } from '../activation-state.ts';
import { processPlaces } from '../qemu/places.ts';
import { isPaused, isProcessOf, type WrittenDisk } from './written-disks.ts';

/**
 * Pauses a disk, unless a call is at work on it, which needs its process: that one comes to its end first. So is one
 * that is only on its way to serve, or to its end.
 *
 * @returns whether it is paused now, and was not.
 */
export async function pauseDisk(disk: WrittenDisk): Promise<boolean> {
  const { pid, key, path } = disk;
  if (pid === undefined || isPaused(disk)) return false;
  const isAny = (_: ActivationRecord): _ is ActivationRecord => true;
  try {
    return await withActivationState(
      key,
      path,
      isAny,
      async (state) => {
        const record = state.read();
        const { nbd, folder } = processPlaces(key);
        // Someone may have emptied the folder of records; the disk's own has its socket until it is to end.
        const serves = record === undefined ? !existsSync(folder) : record.domains.length > 0;
        if (!serves || (existsSync(folder) && !existsSync(nbd))) return false;
        return signal(disk, pid, 'SIGSTOP');
      },
      0,
    );
  } catch (error) {
    if (error instanceof PluginError && error.name === 'LockTimeout') return false;
    throw error;
  }
}

/**
 * Has a disk go on. Whoever holds the disk's state and needs its process to answer calls this first: nobody pauses it
 * before the state is given up.
 *
 * @returns whether it was paused.
 */
export function resumeDisk(disk: WrittenDisk): boolean {
  const wasPaused = isPaused(disk);
  // In any case: of a signal that was just sent the kernel shows nothing yet, and this one takes it back.
  if (disk.pid !== undefined) signal(disk, disk.pid, 'SIGCONT');
  return wasPaused;
}

function signal(disk: WrittenDisk, pid: number, name: 'SIGSTOP' | 'SIGCONT'): boolean {
  if (!isProcessOf(disk, pid)) return false;
  try {
    process.kill(pid, name);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}
