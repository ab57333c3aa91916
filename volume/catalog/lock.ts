import { closeSync, existsSync, fstatSync, openSync } from 'node:fs';
import { waitsFor } from '../../src/deadline.ts';
import { type LockMode, lock, tryLock } from '../../src/locks/flock.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import { catalogFile, catalogLockFile } from '../layout/sr-folder.ts';

/**
 * How long a call waits for others on the catalog unless told, in milliseconds: an array that changes over to
 * its other controller is away for half a minute, and whoever has the catalog then waits for it.
 */
const defaultPatience = 60_000;
/** For the storage, beyond that: whoever waits for a call that hangs is to name it, and not to hang as well. */
const beyond = 30_000;

/**
 * Locks the catalog of the SR in `folder`; the lock ends when the descriptor is closed, or this process
 * dies.
 *
 * @throws PluginError `SRUnreachable` when there is no SR (any more), `LockTimeout` when others hold it.
 */
export async function lockCatalog(
  folder: string,
  mode: LockMode,
  patience = defaultPatience,
): Promise<number> {
  waitsFor(`the storage of the SR in ${folder}`, patience + beyond);
  const fd = openLockFile(folder);
  try {
    if (!tryLock(fd, mode)) await lock(fd, mode, patience, `the catalog of the SR in ${folder}`);
    // SR.destroy removes the file under its lock, so who waited for that holds the lock of nothing.
    if (fstatSync(fd).nlink === 0) throw goneSr(folder);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function openLockFile(folder: string): number {
  try {
    return openSync(catalogLockFile(folder), 'r');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      throw existsSync(catalogFile(folder)) ? lockFileMissing(folder) : goneSr(folder);
    }
    throw new PluginError(
      'SRUnreachable',
      `The SR in ${folder} cannot be reached (${code}); see its filesystem.`,
      {
        cause: error,
      },
    );
  }
}

function lockFileMissing(folder: string): PluginError {
  return new PluginError(
    'SRUnreachable',
    `The lock file ${catalogLockFile(folder)} of the SR is missing; make an empty file of that name while no call is at work on the SR.`,
  );
}

/** There is no SR in a folder that should have one. */
export function goneSr(folder: string): PluginError {
  return new PluginError(
    'SRUnreachable',
    `There is no SR in ${folder}; mount or restore what belongs there, or detach the SR if it was destroyed.`,
  );
}
