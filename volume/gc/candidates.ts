/**
 * Which images can be merged: a frozen image that is no volume's and has exactly one child. Where a snapshot without
 * data is known by it, the child must be frozen too; see volume/cbt/index.ts.
 */
import type { DatabaseSync } from 'node:sqlite';
import { findImage, type Image } from '../catalog/images.ts';
import type { Merge } from '../catalog/merges.ts';

/** What a merge is of. */
export interface MergeImages {
  /** Is written, and then is what the child was. */
  readonly parent: Image;
  readonly child: Image;
}

const query = `
  SELECT parent.uuid AS parent, child.uuid AS child
  FROM images AS parent JOIN images AS child ON child.parent = parent.uuid
  WHERE NOT EXISTS (SELECT 1 FROM images AS other WHERE other.parent = parent.uuid AND other.uuid <> child.uuid)
    AND NOT EXISTS (SELECT 1 FROM volumes WHERE image = parent.uuid)
    AND NOT EXISTS (SELECT 1 FROM intents WHERE image IN (parent.uuid, child.uuid))
    AND child.virtual_size >= parent.virtual_size
    AND NOT (EXISTS (SELECT 1 FROM cbt_metadata WHERE image = parent.uuid)
      AND EXISTS (SELECT 1 FROM volumes WHERE image = child.uuid AND read_write = 1))`;

/** All that can be merged, what is least to write first. */
export function listMergeable(database: DatabaseSync): readonly Merge[] {
  return database.prepare(`${query} ORDER BY child.physical_size`).all() as unknown as Merge[];
}

/** The images of a merge; undefined where they can not be merged any more. */
export function findMergeable(database: DatabaseSync, merge: Merge): MergeImages | undefined {
  const found = database
    .prepare(`${query} AND parent.uuid = ? AND child.uuid = ?`)
    .get(merge.parent, merge.child);
  const parent = findImage(database, merge.parent);
  const child = findImage(database, merge.child);
  return found === undefined || parent === undefined || child === undefined ? undefined : { parent, child };
}
