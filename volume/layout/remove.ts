/** Removal of an SR's own files from its directory. */
import { rmdirSync, rmSync } from 'node:fs';
import { syncDirectory } from '../../src/atomic-file.ts';
import { faultPoint } from '../../src/fault-point.ts';
import {
  backupsFolder,
  catalogFile,
  catalogLockFile,
  imagesFolder,
  journalFile,
  locksFolder,
  newCatalogName,
  repairedCatalogName,
  reserveFile,
} from './sr-folder.ts';

/**
 * Removes what is left of an SR when its images are gone, the lock file last. What is not ours stays.
 *
 * May be repeated after it died.
 */
export function removeSrFiles(folder: string): void {
  removeIfEmpty(imagesFolder(folder));
  for (const name of [newCatalogName, repairedCatalogName]) {
    for (const file of [`${folder}/${name}`, `${folder}/${name}-journal`]) rmSync(file, { force: true });
  }
  // Before the catalog: backups without one are those of an SR that can be repaired.
  rmSync(backupsFolder(folder), { recursive: true, force: true });
  syncDirectory(folder);
  rmSync(reserveFile(folder), { force: true });
  rmSync(catalogFile(folder), { force: true });
  syncDirectory(folder);
  faultPoint('destroy.catalog');
  rmSync(journalFile(folder), { force: true });
  rmSync(catalogLockFile(folder), { force: true });
  faultPoint('destroy.lock');
  removeIfEmpty(locksFolder(folder));
  syncDirectory(folder);
}

/** Removes a folder, unless it is not empty or not there. */
export function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
  }
}
