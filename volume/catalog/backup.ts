/** Backup copies of a catalog, on the SR itself; see docs/sr-layout.md. */
import {
  chmodSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { syncDirectory, syncFile } from '../../src/atomic-file.ts';
import { faultPoint } from '../../src/fault-point.ts';
import { backupsFolder, catalogFile } from '../layout/sr-folder.ts';
import type { SrIdentity, SrPlace } from './catalog.ts';
import { countChanges } from './change-count.ts';
import { openDatabase } from './database.ts';
import { findDamage, hasDanglingRows } from './integrity.ts';

/** How many are kept. */
const generations = 6;

/** A backup copy of a catalog. */
export interface CatalogBackup {
  /** Its path. */
  readonly file: string;
  /** How many changes the catalog had seen; see {@link countChanges}. */
  readonly changes: number;
}

const form = /^catalog-(\d{10})\.sqlite$/;

/** The backups of the SR in `folder`, newest first; not looked into. */
export function listBackups(folder: string): readonly CatalogBackup[] {
  return namesOf(folder)
    .flatMap((name) => {
      const changes = form.exec(name)?.[1];
      return changes === undefined
        ? []
        : [{ file: `${backupsFolder(folder)}/${name}`, changes: Number(changes) }];
    })
    .toSorted((a, b) => b.changes - a.changes);
}

/**
 * What is wrong with a backup; undefined where it can be restored.
 *
 * @param uuid of the SR whose it must be.
 */
export function findDamageOfBackup(file: string, uuid: string): string | undefined {
  try {
    const database = openDatabase(file, 'read');
    try {
      const damage = findDamage(database) ?? (hasDanglingRows(database) ? 'rows are missing' : undefined);
      if (damage !== undefined) return damage;
      const found = database.prepare('SELECT uuid FROM sr').get()?.uuid;
      return found === uuid ? undefined : `it is of the SR ${found}`;
    } finally {
      database.close();
    }
  } catch (error) {
    return (error as Error).message;
  }
}

/** Who an SR is, by the newest backup of its catalog that is good; undefined where none says that it is this one. */
export function identifyByBackup({ path, uuid }: SrPlace): SrIdentity | undefined {
  const good = listBackups(path).find(({ file }) => findDamageOfBackup(file, uuid) === undefined);
  if (good === undefined) return undefined;
  const database = openDatabase(good.file, 'read');
  try {
    return database.prepare('SELECT uuid, name, description FROM sr').get() as unknown as SrIdentity;
  } finally {
    database.close();
  }
}

/**
 * Copies a catalog as it is now, durably and with a name only once it is complete and seen to be good; the oldest
 * copies go. The caller has its exclusive lock, and is in no transaction. Nothing happens where it has not changed.
 *
 * @returns what is wrong with the catalog where therefore no copy is kept.
 */
export function backUpCatalog(folder: string, uuid: string): string | undefined {
  const changes = countChanges(catalogFile(folder));
  if (changes === undefined) return undefined;
  const file = `${backupsFolder(folder)}/catalog-${String(changes).padStart(10, '0')}.sqlite`;
  if (existsSync(file)) return undefined;
  makeFolder(folder);
  sweep(folder);
  const copy = `${file}.new`;
  try {
    copyDurably(catalogFile(folder), copy);
    faultPoint('backup.copied');
    const damage = findDamageOfBackup(copy, uuid);
    if (damage !== undefined) {
      rmSync(copy);
      return damage;
    }
    renameSync(copy, file);
  } catch (error) {
    rmSync(copy, { force: true });
    throw error;
  }
  syncDirectory(backupsFolder(folder));
  faultPoint('backup.named');
  for (const { file: old } of listBackups(folder).slice(generations)) rmSync(old, { force: true });
  return undefined;
}

/** Copies a file that nobody changes meanwhile; its name is not durable yet. */
export function copyDurably(from: string, to: string): void {
  copyFileSync(from, to, constants.COPYFILE_EXCL);
  chmodSync(to, 0o600);
  syncFile(to);
}

function namesOf(folder: string): readonly string[] {
  try {
    return readdirSync(backupsFolder(folder));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

function makeFolder(folder: string): void {
  if (existsSync(backupsFolder(folder))) return;
  mkdirSync(backupsFolder(folder), { mode: 0o700 });
  syncDirectory(folder);
}

/** Removes what a call left that died while it copied: the lock makes this the only one. */
function sweep(folder: string): void {
  for (const name of namesOf(folder)) {
    if (name.endsWith('.new')) rmSync(`${backupsFolder(folder)}/${name}`, { force: true });
  }
}
