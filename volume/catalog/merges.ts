/**
 * Rows of merges: of an image, the parent, whose only child is written into it. Until the merge is over the parent may
 * hold parts of both, which only the child's readers come to, and they see the child's where it has any.
 */
import type { DatabaseSync } from 'node:sqlite';

/** A merge, by the uuids of its images. */
export interface Merge {
  readonly parent: string;
  readonly child: string;
}

/** Records that a child is written into its parent; repeated where that was begun before. */
export function addMerge(database: DatabaseSync, { parent, child }: Merge): void {
  database.prepare('INSERT OR REPLACE INTO merges (parent, child) VALUES (?, ?)').run(parent, child);
}

/** Whether a merge of these images has been begun, and not ended. */
export function hasMerge(database: DatabaseSync, { parent, child }: Merge): boolean {
  const statement = database.prepare('SELECT 1 FROM merges WHERE parent = ? AND child = ?');
  return statement.get(parent, child) !== undefined;
}

/** Records that the parent's file takes the child's place, so that file and rows disagree until {@link removeMerge}. */
export function markSwitching(database: DatabaseSync, { parent }: Merge): void {
  database.prepare('UPDATE merges SET switching = 1 WHERE parent = ?').run(parent);
}

/** The merges whose parent's file takes the child's place. */
export function listSwitching(database: DatabaseSync): readonly Merge[] {
  return database.prepare('SELECT parent, child FROM merges WHERE switching = 1').all() as unknown as Merge[];
}

/** Records that a merge is over. */
export function removeMerge(database: DatabaseSync, { parent }: Merge): void {
  database.prepare('DELETE FROM merges WHERE parent = ?').run(parent);
}
