/** Files of images that take the place of others'. */
import { lstatSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { syncDirectory } from '../../src/atomic-file.ts';
import { findImage, isWritable } from '../catalog/images.ts';
import { listReplacements, type Replacement, removeReplacement } from '../catalog/replacements.ts';
import { imageFile } from '../layout/sr-folder.ts';
import { markFrozen } from './files.ts';

/**
 * Makes the replacements that the catalog says, under its exclusive lock. They need no image's: a name is given to
 * another file, and whoever has an image open keeps what he has.
 *
 * @throws what the filesystem says.
 */
export function replaceFiles(database: DatabaseSync, folder: string): void {
  for (const replacement of listReplacements(database)) replaceFile(database, folder, replacement);
}

/** May be repeated after it died at any point. */
function replaceFile(database: DatabaseSync, folder: string, replacement: Replacement): void {
  const image = findImage(database, replacement.image);
  if (image !== undefined) {
    const [from, to] = [imageFile(folder, replacement.source), imageFile(folder, image)];
    if (lstatSync(from, { throwIfNoEntry: false }) !== undefined) {
      const parent = image.parent === undefined ? undefined : findImage(database, image.parent);
      // Before the image's path leads elsewhere, or somebody could be given the parent to write.
      if (parent !== undefined) markFrozen(imageFile(folder, parent), true);
      markFrozen(from, !isWritable(database, image.uuid));
      renameSync(from, to);
      // Two names of one file are left as they are.
      rmSync(from, { force: true });
      syncDirectory(dirname(to));
    }
  }
  removeReplacement(database, replacement);
}
