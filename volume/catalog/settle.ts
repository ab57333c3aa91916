import type { DatabaseSync } from 'node:sqlite';
import { faultPoint } from '../../src/fault-point.ts';
import { log } from '../../src/log.ts';
import { lockImage } from '../images/lock.ts';
import { rawImageSize, removeRawImage } from '../images/raw.ts';
import { imageFile } from '../layout/sr-folder.ts';
import { inTransaction } from './database.ts';
import { findImage, setVirtualSize } from './images.ts';
import { type Intent, listIntents, removeIntent } from './intents.ts';

/**
 * Finishes or undoes what calls that died have left, under the exclusive lock of the catalog: calls hold
 * it from their intent to their end, so whatever intent is seen under it has a dead owner.
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
  if (image === undefined) {
    using lock = lockImage(file);
    // Someone has the disk of a volume that is gone: it goes when they are.
    if (lock === undefined) return;
    removeRawImage(file);
    faultPoint('settle.removed');
    removeIntent(database, intent);
    return;
  }
  const size = rawImageSize(file);
  inTransaction(database, () => {
    if (size > image.virtualSize) setVirtualSize(database, intent.uuid, size);
    removeIntent(database, intent);
  });
}
