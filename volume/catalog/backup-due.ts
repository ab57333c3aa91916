/** When a backup of a catalog is made: rarely enough that calls do not become slower by it. */
import { closeSync, statSync } from 'node:fs';
import { log } from '../../src/log.ts';
import { backupsFolder, catalogFile } from '../layout/sr-folder.ts';
import type { SrPlace } from './catalog.ts';
import { countChanges } from './change-count.ts';
import { hasHotJournal } from './database.ts';
import { lockCatalog } from './lock.ts';

/** Changes between two. */
const interval = 64;
/** Milliseconds after which a change is in one. */
const age = 3_600_000;

/**
 * Makes a backup of a catalog after a change, where one is due: when a multiple of some number of changes was
 * reached, or the last one is an hour old. The caller has the exclusive lock. A backup that cannot be made fails
 * nothing, and is tried again.
 *
 * @param before how many changes the catalog had seen before.
 */
export async function backUpWhenDue({ path, uuid }: SrPlace, before: number | undefined): Promise<void> {
  try {
    const changes = countChanges(catalogFile(path));
    if (changes === undefined || before === changes) return;
    const crossed = Math.trunc(changes / interval) !== Math.trunc((before ?? changes) / interval);
    if (!crossed && !isOld(path)) return;
    await backUp({ path, uuid });
  } catch (error) {
    notBackedUp(path, error);
  }
}

/** Milliseconds that an SR.attach waits for others to make a backup: it is not what it came for. */
const patience = 2_000;

/** Makes a backup of the catalog of an SR that was just attached, where there is none of the last hour. */
export async function backUpAttached({ path, uuid }: SrPlace): Promise<void> {
  try {
    if (!isOld(path) || hasHotJournal(path)) return;
    const lock = await lockCatalog(path, 'exclusive', patience);
    try {
      if (!isOld(path) || hasHotJournal(path)) return;
      await backUp({ path, uuid });
    } finally {
      closeSync(lock);
    }
  } catch (error) {
    notBackedUp(path, error);
  }
}

/** Makes a backup of a catalog unless it is as when the last one was made; one that cannot be made fails nothing. */
export async function tryToBackUp(place: SrPlace): Promise<void> {
  try {
    await backUp(place);
  } catch (error) {
    notBackedUp(place.path, error);
  }
}

async function backUp({ path, uuid }: SrPlace): Promise<void> {
  const { backUpCatalog } = await import('./backup.ts');
  const damage = backUpCatalog(path, uuid);
  if (damage === undefined) return;
  log('error', `the catalog in ${path} is damaged (${damage}); run gfs2-sr sr repair ${uuid}`);
}

function notBackedUp(path: string, error: unknown): void {
  log(
    'warning',
    `the catalog in ${path} was not backed up: ${error instanceof Error ? error.message : String(error)}`,
  );
}

/** A folder's time is that of its last new name. */
function isOld(folder: string): boolean {
  const found = statSync(backupsFolder(folder), { throwIfNoEntry: false });
  return found === undefined || Math.abs(Date.now() - found.mtimeMs) > age;
}
