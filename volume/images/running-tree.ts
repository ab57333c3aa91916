/**
 * Changes of a tree of images whose leaf a disk of this host writes to meanwhile; see docs/sr-layout.md.
 *
 * The leaf keeps its uuid, and so the URI by which its disk was attached: what it held until now gets another one.
 */
import { linkSync } from 'node:fs';
import { dirname } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import type { SwitchableDisk } from '../../datapath/live-control/index.ts';
import { syncDirectory } from '../../src/atomic-file.ts';
import { log } from '../../src/log.ts';
import { inTransaction } from '../catalog/database.ts';
import { toStorageError } from '../catalog/errors.ts';
import {
  addImage,
  findImage,
  type Image,
  removeImage,
  setParent,
  setPhysicalSize,
} from '../catalog/images.ts';
import { addIntent, makeLasting, removeIntent } from '../catalog/intents.ts';
import { findLabel } from '../catalog/labels.ts';
import { addReplacement } from '../catalog/replacements.ts';
import { imageFile } from '../layout/sr-folder.ts';
import { allocatedSize } from './allocation.ts';
import { type ImageCall, stopAt } from './fault-points.ts';
import { makeImage, removeImageFile } from './files.ts';
import { formatDriver } from './format.ts';
import { labelImage } from './label.ts';
import { replaceFiles } from './replace.ts';

/** A change of a tree of images, and of the volumes that are names for them. */
export interface RunningTreeChange {
  readonly call: ImageCall;
  /** What it does, for the message of a failure, such as `a snapshot`. */
  readonly what: string;
  /** New images that build on what the leaf held until now. */
  readonly makes: readonly Image[];
  /** Adds the volumes' rows. */
  readonly rows: () => void;
  /** Takes that back. */
  readonly restoreRows: () => void;
}

/**
 * Freezes what the leaf of a running disk held until now, under the exclusive lock of the catalog, and gives the disk a
 * new one. A change that fails has changed nothing.
 *
 * @param frozen names what the leaf held until now.
 * @throws as `switchTo` and toStorageError.
 */
export async function freezeRunning(
  database: DatabaseSync,
  folder: string,
  disk: SwitchableDisk,
  { leaf, frozen }: { readonly leaf: Image; readonly frozen: Image },
  change: RunningTreeChange,
): Promise<void> {
  const { call, makes } = change;
  const overlay: Image = { ...leaf, uuid: crypto.randomUUID(), parent: frozen.uuid, physicalSize: 0n };
  const added = [frozen, overlay, ...makes];
  const file = (image: Image): string => imageFile(folder, image);

  const commit = (made: readonly Image[]): void => {
    inTransaction(database, () => {
      addImage(database, { ...frozen, physicalSize: allocatedSize(file(frozen)) ?? leaf.physicalSize });
      setParent(database, leaf.uuid, frozen.uuid);
      setPhysicalSize(database, leaf.uuid, allocatedSize(file(overlay)) ?? 0n);
      // A merge that was stopped goes on with what it has begun to write.
      database.prepare('UPDATE merges SET child = ? WHERE child = ?').run(frozen.uuid, leaf.uuid);
      for (const image of made) addImage(database, image);
      change.rows();
      for (const image of [frozen, ...made]) labelImage(file(image), findLabel(database, image.uuid));
      labelImage(file(overlay), findLabel(database, leaf.uuid));
      for (const image of added) removeIntent(database, image);
      // A process that is killed before it closes the image leaves it in need of that.
      if (formatDriver(frozen.format).settle !== undefined) {
        addIntent(database, frozen);
        makeLasting(database, frozen);
      }
      addReplacement(database, leaf, overlay);
    });
    stopAt(call, 'rows');
    try {
      replaceFiles(database, folder);
    } catch (error) {
      undo();
      throw error;
    }
    stopAt(call, 'renamed');
  };
  const undo = (): void => {
    inTransaction(database, () => {
      change.restoreRows();
      for (const image of makes) removeImage(database, image.uuid);
      for (const image of [overlay, ...makes]) addIntent(database, image);
      database.prepare('UPDATE merges SET child = ? WHERE child = ?').run(leaf.uuid, frozen.uuid);
      setParent(database, leaf.uuid, leaf.parent);
      setPhysicalSize(database, leaf.uuid, leaf.physicalSize);
      removeImage(database, frozen.uuid);
      removeIntent(database, frozen);
      addReplacement(database, leaf, frozen);
    });
    replaceFiles(database, folder);
    labelImage(file(leaf), findLabel(database, leaf.uuid));
    removeAll(database, folder, [overlay, ...makes]);
  };

  try {
    inTransaction(database, () => {
      for (const image of added) addIntent(database, image);
    });
    stopAt(call, 'intent');
    linkSync(file(leaf), file(frozen));
    syncDirectory(dirname(file(frozen)));
    const made: Image[] = [];
    for (const image of [overlay, ...makes]) {
      made.push({ ...image, physicalSize: await makeImage(folder, image, frozen) });
    }
    stopAt(call, 'made');
    await disk.switchTo({
      path: file(overlay),
      commit: () => commit(made.slice(1)),
      undo,
    });
    removeIntent(database, frozen);
  } catch (error) {
    // A transaction that failed may have been done all the same: what there are rows of stays.
    if (findImage(database, frozen.uuid) === undefined) removeAll(database, folder, added);
    throw toStorageError(error, change.what, folder);
  }
}

/** Removes images that never were anyone's. What cannot be removed keeps its intent, for whoever comes next. */
function removeAll(database: DatabaseSync, folder: string, images: readonly Image[]): void {
  try {
    for (const image of images) removeImageFile(imageFile(folder, image));
    inTransaction(database, () => {
      for (const image of images) removeIntent(database, image);
    });
  } catch (error) {
    log(
      'warning',
      `a change of images in ${folder} is not undone yet: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}
