import { lstatSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { faultPoint } from '../../src/fault-point.ts';
import { unlock } from '../../src/locks/flock.ts';
import { log } from '../../src/log.ts';
import { backingOn, setBacking } from '../images/backing.ts';
import { markFrozen, removeImageFile } from '../images/files.ts';
import { formatDriver } from '../images/format.ts';
import { lockImage } from '../images/lock.ts';
import { imageFile, imageName } from '../layout/sr-folder.ts';
import { inTransaction } from './database.ts';
import { toStorageError } from './errors.ts';
import { findImage, type Image, isWritable, setVirtualSize } from './images.ts';
import { type Intent, listIntents, makeLasting, removeIntent } from './intents.ts';
import { listSwitching } from './merges.ts';
import { listReplacements } from './replacements.ts';

/**
 * Finishes or undoes what calls that died have left, under the exclusive lock of the catalog: calls hold
 * that, or the image's, from their intent to their end, so whatever intent is seen under both has a dead owner.
 *
 * An image that cannot be settled now keeps its intent, and hinders nobody else.
 *
 * @throws as toStorageError, where a file cannot take its place.
 */
export async function settleIntents(database: DatabaseSync, folder: string): Promise<void> {
  if (listReplacements(database).length > 0) {
    const { replaceFiles } = await import('../images/replace.ts');
    try {
      replaceFiles(database, folder);
    } catch (error) {
      // Paths do not lead to what the rows say, so nobody may go on.
      throw toStorageError(error, 'a snapshot', folder);
    }
  }
  if (listSwitching(database).length > 0) {
    const { settleMerges } = await import('../gc/switch.ts');
    settleMerges(database, folder);
  }
  for (const intent of listIntents(database)) {
    const image = findImage(database, intent.uuid);
    if (image !== undefined) await attempt(folder, intent, () => settleKept(database, folder, image));
  }
  // After those, which may name them as their parents until they are settled.
  const named = new Set(namedParents(database, folder));
  for (const intent of listIntents(database)) {
    if (findImage(database, intent.uuid) !== undefined || named.has(imageName(intent))) continue;
    await attempt(folder, intent, () => settleRemoved(database, folder, intent));
  }
}

async function attempt(folder: string, intent: Intent, settle: () => Promise<void> | void): Promise<void> {
  try {
    await settle();
  } catch (error) {
    log(
      'warning',
      `the image ${intent.uuid} in ${folder} could not be settled: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

/** The names of the files that images which are not settled yet have as their parents. */
function namedParents(database: DatabaseSync, folder: string): readonly string[] {
  return listIntents(database).flatMap((intent) => {
    const image = findImage(database, intent.uuid);
    try {
      const backing =
        image === undefined ? undefined : formatDriver(image.format).backing(imageFile(folder, image));
      return backing === undefined ? [] : [backing.name];
    } catch {
      return [];
    }
  });
}

function settleRemoved(database: DatabaseSync, folder: string, intent: Intent): void {
  const file = imageFile(folder, intent);
  // A copy is being written to it, or a dead call's qemu-img still works on it.
  using lock = lockImage(file);
  // Of an image that has another name, as a running disk's may, only this one goes.
  if (lock === undefined && (lstatSync(file, { throwIfNoEntry: false })?.nlink ?? 0) < 2) {
    makeLasting(database, intent);
    return;
  }
  removeImageFile(file);
  faultPoint('settle.removed');
  removeIntent(database, intent);
}

async function settleKept(database: DatabaseSync, folder: string, image: Image): Promise<void> {
  const file = imageFile(folder, image);
  // Its disk runs, or a dead call's qemu-img still works on it.
  using lock = lockImage(file);
  if (lock === undefined) return;
  const driver = formatDriver(image.format);
  await driver.settle?.(file, lock.fd);
  const size = driver.size(file);
  const parent = image.parent === undefined ? undefined : findImage(database, image.parent);
  const found = driver.backing(file);
  const expected = backingOn(parent);
  let released: number | undefined;
  // An image in vhd also names its parent's uuid, last of all.
  const isUnsure = image.format === 'vhd' && expected !== undefined;
  if (isUnsure || found?.name !== expected?.name || found?.format !== expected?.format) {
    await setBacking(image, file, expected, lock.fd);
    // The kernel ends what qemu-img inherited a little after qemu-img, and the call at hand may need the image.
    released = lock.fd;
  }
  markFrozen(file, !isWritable(database, image.uuid));
  faultPoint('settle.marked');
  inTransaction(database, () => {
    if (size > image.virtualSize) setVirtualSize(database, image.uuid, size);
    removeIntent(database, image);
  });
  if (released !== undefined) unlock(released);
}
