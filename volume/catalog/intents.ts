/**
 * Intents: an image has one while its file and its rows may disagree.
 *
 * What is to be done about an image with an intent follows from the catalog alone: without a row its file
 * is to go; with a row the file's size counts, and the rows say whether it may be written. So a call records the
 * intent first, and takes it back in the same transaction that makes the rows agree.
 */
import type { DatabaseSync } from 'node:sqlite';
import type { ImageFormat } from './schema.ts';

/** An image whose file and rows may disagree. */
export interface Intent {
  /** The image's uuid. */
  readonly uuid: string;
  readonly format: ImageFormat;
}

/** Records that an image's file and rows may disagree from now on. */
export function addIntent(database: DatabaseSync, { uuid, format }: Intent): void {
  database.prepare('INSERT OR IGNORE INTO intents (image, format) VALUES (?, ?)').run(uuid, format);
}

/**
 * Records that an intent is there to stay: whoever is at work on the image has its lock, and not the catalog's,
 * and nobody who only reads is concerned.
 */
export function makeLasting(database: DatabaseSync, { uuid }: Intent): void {
  database.prepare('UPDATE intents SET lasting = 1 WHERE image = ?').run(uuid);
}

/** Records that an image's file and rows agree. */
export function removeIntent(database: DatabaseSync, { uuid }: Intent): void {
  database.prepare('DELETE FROM intents WHERE image = ?').run(uuid);
}

/** All intents. */
export function listIntents(database: DatabaseSync): readonly Intent[] {
  return database.prepare('SELECT image AS uuid, format FROM intents').all() as unknown as Intent[];
}

/** Whether there is something to settle: of any kind, or what concerns those too who only read. */
export function hasIntents(database: DatabaseSync, kind: 'any' | 'passing'): boolean {
  const condition = kind === 'any' ? '' : 'WHERE lasting = 0';
  const query = `SELECT 1 FROM intents ${condition} UNION ALL SELECT 1 FROM merges WHERE switching = 1
    UNION ALL SELECT 1 FROM replacements LIMIT 1`;
  return database.prepare(query).get() !== undefined;
}
