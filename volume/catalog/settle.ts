import type { DatabaseSync } from 'node:sqlite';
import { faultPoint } from '../../src/fault-point.ts';
import { log } from '../../src/log.ts';
import { markFrozen, removeImageFile } from '../images/files.ts';
import { formatDriver } from '../images/format.ts';
import { lockImage } from '../images/lock.ts';
import { imageFile } from '../layout/sr-folder.ts';
import { inTransaction } from './database.ts';
import { findImage, isWritable, setVirtualSize } from './images.ts';
import { type Intent, listIntents, makeLasting, removeIntent } from './intents.ts';

/**
 * Finishes or undoes what calls that died have left, under the exclusive lock of the catalog: calls hold
 * that, or the image's, from their intent to their end, so whatever intent is seen under both has a dead owner.
 *
 * An image that cannot be settled now keeps its intent, and hinders nobody else.
 */
export function settleIntents(database: DatabaseSync, folder: string): void {
  for (const intent of listIntents(database)) {
    try {
      settle(database, folder, intent);
    } catch (error) {
      log(
        'warning',
        `the image ${intent.uuid} in ${folder} could not be settled: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }
}

function settle(database: DatabaseSync, folder: string, intent: Intent): void {
  const file = imageFile(folder, intent);
  const image = findImage(database, intent.uuid);
  // Its disk runs, a copy is being written to it, or a dead call's qemu-img still works on it.
  using lock = lockImage(file);
  if (lock === undefined) {
    if (image === undefined) makeLasting(database, intent);
    return;
  }
  if (image === undefined) {
    removeImageFile(file);
    faultPoint('settle.removed');
    removeIntent(database, intent);
    return;
  }
  const size = formatDriver(image.format).size(file);
  markFrozen(file, !isWritable(database, image.uuid));
  faultPoint('settle.marked');
  inTransaction(database, () => {
    if (size > image.virtualSize) setVirtualSize(database, intent.uuid, size);
    removeIntent(database, intent);
  });
}
