/** The end of a merge: the parent, which holds all that its child does, takes the child's place. */
import { lstatSync, renameSync } from 'node:fs';
import { dirname } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { syncDirectory } from '../../src/atomic-file.ts';
import { log } from '../../src/log.ts';
import { inTransaction } from '../catalog/database.ts';
import {
  findImage,
  isWritable,
  listChildren,
  removeImage,
  setParent,
  setPhysicalSize,
  setVirtualSize,
} from '../catalog/images.ts';
import { addIntent, removeIntent } from '../catalog/intents.ts';
import { findLabel } from '../catalog/labels.ts';
import { listSwitching, markSwitching, removeMerge } from '../catalog/merges.ts';
import { afterMerge } from '../cbt/index.ts';
import { allocatedSize } from '../images/allocation.ts';
import { backingOn, setBacking } from '../images/backing.ts';
import { markFrozen, removeImageFile } from '../images/files.ts';
import { labelImage } from '../images/label.ts';
import { type ImageLocks, lockImage } from '../images/lock.ts';
import { imageFile } from '../layout/sr-folder.ts';
import type { MergeImages } from './candidates.ts';
import { stopAt } from './fault-points.ts';

/**
 * Puts the parent's file in the place of the child's, of the same format: nobody who knows the child, by its
 * volume's URI or as a parent, notices. Under the exclusive lock of the catalog and those of both images.
 */
export function replaceChild(database: DatabaseSync, folder: string, images: MergeImages): void {
  markSwitching(database, { parent: images.parent.uuid, child: images.child.uuid });
  stopAt('switching');
  completeReplacement(database, folder, images);
}

/** May be repeated after it died at any point. */
function completeReplacement(database: DatabaseSync, folder: string, { parent, child }: MergeImages): void {
  const from = imageFile(folder, parent);
  const to = imageFile(folder, child);
  if (isThere(from)) {
    labelImage(from, findLabel(database, child.uuid));
    markFrozen(from, !isWritable(database, child.uuid));
    renameSync(from, to);
    syncDirectory(dirname(to));
  }
  stopAt('renamed');
  inTransaction(database, () => {
    setParent(database, child.uuid, parent.parent);
    setPhysicalSize(database, child.uuid, allocatedSize(to) ?? child.physicalSize);
    removeImage(database, parent.uuid);
  });
  stopAt('rows');
}

/**
 * Ends the replacements whose processes died, under the exclusive lock of the catalog. One whose child is in use by
 * now has to wait: then it is a merge that was stopped before.
 */
export function settleMerges(database: DatabaseSync, folder: string): void {
  for (const merge of listSwitching(database)) {
    const parent = findImage(database, merge.parent);
    const child = findImage(database, merge.child);
    if (parent === undefined || child === undefined) {
      removeMerge(database, merge);
      continue;
    }
    try {
      using parentLock = lockImage(imageFile(folder, parent));
      using childLock = lockImage(imageFile(folder, child));
      const isReplaced = !isThere(imageFile(folder, parent));
      if (isReplaced || (parentLock !== undefined && childLock !== undefined)) {
        completeReplacement(database, folder, { parent, child });
      } else {
        database.prepare('UPDATE merges SET switching = 0 WHERE parent = ?').run(parent.uuid);
      }
    } catch (error) {
      log(
        'warning',
        `the merge of the image ${child.uuid} in ${folder} could not be settled: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }
}

/**
 * Makes all that was the child's the parent's, of another format or in vhd: volumes, and images that build on it. Under the
 * exclusive lock of the catalog and those of both images and of those that build on the child.
 *
 * What dies here is settled as any change of images: headers and modes follow the rows.
 */
export async function moveToParent(
  database: DatabaseSync,
  folder: string,
  locks: ImageLocks,
  { parent, child }: MergeImages,
): Promise<void> {
  const children = listChildren(database, child.uuid);
  // Who still comes with the child's URI must not write to it.
  addIntent(database, child);
  markFrozen(imageFile(folder, child), true);
  stopAt('frozen');
  labelImage(imageFile(folder, parent), findLabel(database, child.uuid));
  inTransaction(database, () => {
    for (const image of [...children, parent, child]) addIntent(database, image);
    for (const image of children) setParent(database, image.uuid, parent.uuid);
    database.prepare('UPDATE volumes SET image = ? WHERE image = ?').run(parent.uuid, child.uuid);
    setVirtualSize(database, parent.uuid, child.virtualSize);
    setPhysicalSize(database, parent.uuid, allocatedSize(imageFile(folder, parent)) ?? parent.physicalSize);
    afterMerge(database, child.uuid, parent.uuid);
    removeImage(database, child.uuid);
  });
  stopAt('rows');
  for (const [index, image] of children.entries()) {
    await setBacking(image, imageFile(folder, image), backingOn(parent), locks.fd(image));
    stopAt('rebased', index);
    removeIntent(database, image);
  }
  markFrozen(imageFile(folder, parent), !isWritable(database, parent.uuid));
  stopAt('marked');
  removeIntent(database, parent);
  removeImageFile(imageFile(folder, child));
  stopAt('removed');
  removeIntent(database, child);
}

/** Unlike existsSync, no error is an answer. */
function isThere(file: string): boolean {
  return lstatSync(file, { throwIfNoEntry: false }) !== undefined;
}
