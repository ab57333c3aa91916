/** Replacements: files that take the place of an image's. Whoever sees one makes it, and nothing before it. */
import type { DatabaseSync } from 'node:sqlite';
import type { Image } from './images.ts';
import type { Intent } from './intents.ts';

/** An image whose file is that which is named after another uuid still. */
export interface Replacement {
  readonly image: string;
  readonly source: Intent;
}

/** All replacements. */
export function listReplacements(database: DatabaseSync): readonly Replacement[] {
  const rows = database
    .prepare('SELECT image, source, format FROM replacements')
    .all() as unknown as readonly {
    readonly image: string;
    readonly source: string;
    readonly format: Intent['format'];
  }[];
  return rows.map(({ image, source, format }) => ({ image, source: { uuid: source, format } }));
}

/** Records that a file is to be an image's, and none that was to be it before. */
export function addReplacement(database: DatabaseSync, { uuid }: Image, source: Intent): void {
  database
    .prepare('INSERT OR REPLACE INTO replacements (image, source, format) VALUES (?, ?, ?)')
    .run(uuid, source.uuid, source.format);
}

/** Records that a file has its place. */
export function removeReplacement(database: DatabaseSync, { image }: Replacement): void {
  database.prepare('DELETE FROM replacements WHERE image = ?').run(image);
}
