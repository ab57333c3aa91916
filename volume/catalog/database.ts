import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { PluginError } from '../../src/smapi/errors.ts';
import { backupsFolder, catalogFile, journalFile } from '../layout/sr-folder.ts';
import { catalogDamaged } from './errors.ts';
import { goneSr } from './lock.ts';
import { migrate } from './migrate.ts';
import { schemaVersion } from './schema.ts';

/**
 * Opens a database under our own lock: SQLite's locks are POSIX locks, which a cluster hands over before
 * a lost host is fenced.
 *
 * To a reader it is immutable, as the lock makes it: SQLite would look for a hot journal, which the reader
 * has done already, and as root it changes the journal's owner on the way, which writes.
 */
export function openDatabase(file: string, mode: 'read' | 'write'): DatabaseSync {
  const how = mode === 'read' ? 'mode=ro&immutable=1' : 'mode=rw';
  const uri = `file:${file.split('/').map(encodeURIComponent).join('/')}?vfs=unix-none&${how}`;
  return new DatabaseSync(uri, { readOnly: mode === 'read' });
}

/**
 * Makes a connection durable. The journal stays as a file with a header of zeros: its room is there also
 * when the filesystem is full, and no directory changes at a commit.
 *
 * The locking mode comes first: in SQLite's normal one, setting the journal's mode rolls a dead writer's
 * journal back in the mode before, which removes the file.
 */
export function makeDurable(database: DatabaseSync): void {
  database.exec('PRAGMA locking_mode = EXCLUSIVE');
  database.exec(
    'PRAGMA journal_mode = PERSIST; PRAGMA journal_size_limit = 1048576; PRAGMA synchronous = FULL',
  );
}

/**
 * Opens the catalog of the SR in `folder`; the caller holds its lock, exclusively to write. One of an earlier
 * version of this plugin is brought up to date first when it is opened to write; see {@link isOutdated}.
 *
 * @param uuid of the SR, where it is known, for messages.
 * @throws PluginError `SRUnreachable`, `CatalogDamaged`, `CatalogTooNew`.
 */
export function openCatalog(folder: string, mode: 'read' | 'write', uuid?: string): DatabaseSync {
  let database: DatabaseSync;
  try {
    database = openDatabase(catalogFile(folder), mode);
  } catch (error) {
    if (isMissing(catalogFile(folder))) throw missingCatalog(folder, uuid);
    throw error;
  }
  try {
    if (mode === 'write') makeDurable(database);
    const version = versionOf(database);
    if (version < 1 || version > schemaVersion) throw wrongVersion(folder, version, uuid);
    if (mode === 'write' && version < schemaVersion) {
      inTransaction(database, () => migrate(database, version));
    }
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Whether a catalog must be opened to write before anything can be read from it. */
export function isOutdated(database: DatabaseSync): boolean {
  return versionOf(database) < schemaVersion;
}

/** The version of a catalog's tables; 0 where it is no catalog. */
export function versionOf(database: DatabaseSync): number {
  return Number(database.prepare('PRAGMA user_version').get()?.user_version);
}

function wrongVersion(folder: string, version: number, uuid?: string): PluginError {
  return version > schemaVersion
    ? new PluginError(
        'CatalogTooNew',
        `The catalog in ${folder} has format ${version}, and this version of the plugin knows ${schemaVersion}; update the plugin on this host.`,
      )
    : catalogDamaged(`The catalog in ${folder} has the unknown format ${version}`, uuid);
}

/** Whether a writer died in the midst of a change, so that the next to open the catalog must write. */
export function hasHotJournal(folder: string): boolean {
  let fd: number;
  try {
    fd = openSync(journalFile(folder), 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
  try {
    const first = new Uint8Array(1);
    return readSync(fd, first, 0, 1, 0) === 1 && first[0] !== 0;
  } finally {
    closeSync(fd);
  }
}

/** Who has backups was an SR, and can be one again. */
function missingCatalog(folder: string, uuid?: string): PluginError {
  return existsSync(backupsFolder(folder))
    ? catalogDamaged(`The catalog of the SR in ${folder} is missing`, uuid)
    : goneSr(folder);
}

function isMissing(file: string): boolean {
  try {
    closeSync(openSync(file, 'r'));
    return false;
  } catch (error) {
    return ['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '');
  }
}

/** Runs some changes as one: all of them are on the storage when this returns, or none after a failure. */
export function inTransaction<T>(database: DatabaseSync, change: () => T): T {
  database.exec('BEGIN IMMEDIATE');
  try {
    const result = change();
    database.exec('COMMIT');
    return result;
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK');
    throw error;
  }
}
