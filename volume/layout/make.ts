/** Making of an SR's files in an existing directory. */
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { syncDirectory } from '../../src/atomic-file.ts';
import { faultPoint } from '../../src/fault-point.ts';
import { lock } from '../../src/locks/flock.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import type { NewSr } from '../catalog/catalog.ts';
import { toStorageError } from '../catalog/errors.ts';
import { makeEmptyCatalog, makeJournal } from './new-catalog.ts';
import {
  catalogFile,
  catalogLockFile,
  catalogLockName,
  imagesFolder,
  imagesName,
  journalFile,
  journalName,
  locksFolder,
  locksName,
  newCatalogName,
} from './sr-folder.ts';

/** Names of a directory that are neither of an unfinished SR nor of a fresh filesystem. */
export function foreignNames(folder: string): readonly string[] {
  return readdirSync(folder).filter((name) => {
    switch (name) {
      case 'lost+found':
      case journalName:
      case newCatalogName:
      case `${newCatalogName}-journal`:
        return false;
      case imagesName:
        return !hasOnly(`${folder}/${name}`, []);
      case locksName:
        return !hasOnly(`${folder}/${name}`, [catalogLockName]);
      default:
        return true;
    }
  });
}

function hasOnly(path: string, names: readonly string[]): boolean {
  return lstatSync(path).isDirectory() && readdirSync(path).every((name) => names.includes(name));
}

/**
 * Makes an empty SR. Until its last step there is no SR, and what a call left that died before is swept
 * away by the next.
 *
 * @throws PluginError `SRExists` when another call was quicker; NumberedError `NoSpace`.
 */
export async function makeSr(folder: string, identity: NewSr): Promise<void> {
  try {
    const lockFile = await lockNewCatalog(folder);
    try {
      if (existsSync(catalogFile(folder))) {
        throw new PluginError(
          'SRExists',
          `Another call has just made an SR in ${folder}; choose another directory.`,
        );
      }
      faultPoint('create.locked');
      makeCatalog(folder, identity);
    } finally {
      closeSync(lockFile);
    }
  } catch (error) {
    throw toStorageError(error, 'a new SR', folder);
  }
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path, 0o700);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    if (!lstatSync(path).isDirectory()) {
      throw new PluginError(
        'InvalidPath',
        `${path} is in the way of an SR; remove it, or choose another directory.`,
      );
    }
  }
}

async function lockNewCatalog(folder: string): Promise<number> {
  for (;;) {
    makeFolder(imagesFolder(folder));
    makeFolder(locksFolder(folder));
    const fd = openNewLockFile(folder);
    if (fd === undefined) continue;
    try {
      await lock(fd, 'exclusive', 20_000, `the directory ${folder}`);
      if (fstatSync(fd).nlink > 0) return fd;
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    // A call that removed an SR from here took the file away with it.
    closeSync(fd);
  }
}

/** Undefined where a call that removes an SR from here took the folder away meanwhile. */
function openNewLockFile(folder: string): number | undefined {
  try {
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
    return openSync(catalogLockFile(folder), flags, 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function makeCatalog(folder: string, identity: NewSr): void {
  const file = `${folder}/${newCatalogName}`;
  const journal = `${file}-journal`;
  for (const remains of [file, journal, journalFile(folder)]) rmSync(remains, { force: true });
  try {
    makeEmptyCatalog(file, identity);
    makeJournal(journalFile(folder));
  } catch (error) {
    for (const remains of [file, journal, journalFile(folder)]) rmSync(remains, { force: true });
    throw error;
  }
  faultPoint('create.catalog');
  syncDirectory(locksFolder(folder));
  renameSync(file, catalogFile(folder));
  syncDirectory(folder);
  faultPoint('create.named');
}
