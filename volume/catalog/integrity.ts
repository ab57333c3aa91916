import type { DatabaseSync } from 'node:sqlite';
import { applicationId, schemaVersion } from './schema.ts';

/**
 * What is wrong with a catalog as a whole, in a few words; undefined where nothing is. All of it is read.
 *
 * One of a later version of the plugin is not judged.
 */
export function findDamage(database: DatabaseSync): string | undefined {
  try {
    const version = numberOf(database, 'user_version');
    if (version > schemaVersion) return undefined;
    if (numberOf(database, 'application_id') !== applicationId || version < 1) return 'it is no catalog';
    const [integrity] = database.prepare('PRAGMA integrity_check(10)').all();
    if (integrity?.integrity_check !== 'ok') return String(integrity?.integrity_check).split('\n').join(' ');
    return database.prepare('SELECT 1 FROM sr').get() === undefined ? 'it names no SR' : undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Whether a catalog has rows that name rows which are not there. */
export function hasDanglingRows(database: DatabaseSync): boolean {
  return database.prepare('PRAGMA foreign_key_check').get() !== undefined;
}

function numberOf(database: DatabaseSync, pragma: string): number {
  return Number(database.prepare(`PRAGMA ${pragma}`).get()?.[pragma]);
}
