import { existsSync, renameSync, rmSync } from 'node:fs';
import { basename } from 'node:path';
import { syncDirectory } from '../../src/atomic-file.ts';
import { makeJournal } from '../layout/new-catalog.ts';
import {
  catalogFile,
  catalogName,
  journalFile,
  journalName,
  repairedCatalogName,
} from '../layout/sr-folder.ts';
import { keepAside, moveAside } from './aside.ts';
import { stopAt } from './fault-points.ts';

/** Where a catalog is made anew until it takes its place. */
export function repairedCatalogFile(folder: string): string {
  return `${folder}/${repairedCatalogName}`;
}

/**
 * Puts a catalog that was made anew in the place of the damaged one, which is kept aside with its journal. Whoever
 * comes after a crash finds the damaged one, or the new one, and never a journal that is the other's.
 *
 * @param damagedBackups their paths; they go aside too, for what is newer than the catalog is not its backup.
 */
export function replaceCatalog(folder: string, damagedBackups: readonly string[]): void {
  const repaired = repairedCatalogFile(folder);
  rmSync(`${repaired}-journal`, { force: true });
  stopAt('repair.built');
  for (const backup of damagedBackups) {
    if (existsSync(backup)) moveAside(folder, backup, `backup-${basename(backup)}`);
  }
  keepAside(folder, journalFile(folder), journalName);
  keepAside(folder, catalogFile(folder), catalogName);
  stopAt('repair.kept');
  // The old journal goes first: in the new catalog it would roll back what never happened there.
  const journal = `${repaired}-new-journal`;
  rmSync(journal, { force: true });
  makeJournal(journal);
  renameSync(journal, journalFile(folder));
  syncDirectory(folder);
  stopAt('repair.journal');
  renameSync(repaired, catalogFile(folder));
  syncDirectory(folder);
  stopAt('repair.catalog');
}
