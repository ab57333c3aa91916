import type { DatabaseSync } from 'node:sqlite';
import type { ImageLabel } from '../images/label.ts';

/** What the label of an image is to say: the volume whose it is, and of several the one that comes first. */
export function findLabel(database: DatabaseSync, image: string): ImageLabel {
  const statement = database.prepare(
    'SELECT key, name, read_write AS readWrite, sharable FROM volumes WHERE image = ? ORDER BY key LIMIT 1',
  );
  const found = statement.get(image) as unknown as
    | { readonly key: string; readonly name: string; readonly readWrite: number; readonly sharable: number }
    | undefined;
  if (found === undefined) return 'none';
  return { ...found, readWrite: found.readWrite !== 0, sharable: found.sharable !== 0 };
}
