/** A copy of an SR's catalog on this host, to look at: the original is only read, also where a call died in it. */
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { hostPaths } from '../../src/host-paths.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import { inTransaction, makeDurable, openDatabase, versionOf } from '../catalog/database.ts';
import { findDamage } from '../catalog/integrity.ts';
import { migrate } from '../catalog/migrate.ts';
import { schemaVersion } from '../catalog/schema.ts';
import { catalogFile, catalogName, journalFile } from '../layout/sr-folder.ts';
import type { AttachedSr } from '../sr/attached.ts';

/** A copied catalog, until it is disposed of. */
export interface CatalogCopy extends Disposable {
  /** A folder of this host's for more. */
  readonly folder: string;
  /** The catalog, brought up to date; undefined where there is none that can be opened. */
  readonly database: DatabaseSync | undefined;
  /** What is wrong with it as a whole; undefined where it is good. */
  readonly damage: string | undefined;
}

/**
 * Copies the catalog of an SR, whose lock the caller has, and looks whether it is good.
 *
 * @throws PluginError `CatalogTooNew`, `SRBeingDestroyed`, `SRUnreachable` where it is another SR's.
 */
export function copyCatalog(sr: AttachedSr): CatalogCopy {
  const folder = makeFolder();
  const file = `${folder}/${catalogName}`;
  let database: DatabaseSync | undefined;
  const copy = (damage: string | undefined): CatalogCopy => ({
    folder,
    database,
    damage,
    [Symbol.dispose]: () => {
      database?.close();
      rmSync(folder, { recursive: true, force: true });
    },
  });
  try {
    if (!existsSync(catalogFile(sr.path))) return copy('it is missing');
    copyFileSync(catalogFile(sr.path), file);
    if (existsSync(journalFile(sr.path))) copyFileSync(journalFile(sr.path), `${file}-journal`);
    const damage = attempt(() => {
      database = openDatabase(file, 'write');
      makeDurable(database);
    });
    return copy(damage ?? (database && judge(database, sr)));
  } catch (error) {
    copy(undefined)[Symbol.dispose]();
    throw error;
  }
}

function judge(database: DatabaseSync, sr: AttachedSr): string | undefined {
  const damage = findDamage(database);
  if (damage !== undefined) return damage;
  const version = versionOf(database);
  if (version > schemaVersion) {
    throw new PluginError(
      'CatalogTooNew',
      `The catalog in ${sr.path} has format ${version}, and this version of the plugin knows ${schemaVersion}; update the plugin on this host.`,
    );
  }
  const found = database.prepare('SELECT uuid FROM sr').get()?.uuid;
  if (found !== sr.uuid) {
    throw new PluginError(
      'SRUnreachable',
      `In ${sr.path} is the SR ${found} instead of ${sr.uuid}; mount or restore what belongs there.`,
    );
  }
  if (database.prepare('SELECT destroying FROM sr').get()?.destroying !== 0) {
    throw new PluginError(
      'SRBeingDestroyed',
      `The SR ${sr.uuid} is half destroyed; run SR.destroy again to finish that.`,
    );
  }
  if (version === schemaVersion) return undefined;
  return attempt(() => inTransaction(database, () => migrate(database, version)));
}

function attempt(action: () => void): string | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Also removes what a process left that died. */
function makeFolder(): string {
  mkdirSync(hostPaths.run, { recursive: true, mode: 0o700 });
  for (const name of readdirSync(hostPaths.run)) {
    const pid = /^check-(\d+)$/.exec(name)?.[1];
    if (pid !== undefined && (Number(pid) === process.pid || !existsSync(`/proc/${pid}`))) {
      rmSync(`${hostPaths.run}/${name}`, { recursive: true, force: true });
    }
  }
  const folder = `${hostPaths.run}/check-${process.pid}`;
  mkdirSync(folder, { mode: 0o700 });
  return folder;
}
