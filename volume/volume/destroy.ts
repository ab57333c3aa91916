import { existsSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { waitsFor } from '../../src/deadline.ts';
import { faultPoint } from '../../src/fault-point.ts';
import type { Handler } from '../../src/smapi/interface.ts';
import { changeCatalog } from '../catalog/catalog.ts';
import { inTransaction } from '../catalog/database.ts';
import { toStorageError } from '../catalog/errors.ts';
import { addImage, removeImage } from '../catalog/images.ts';
import { addIntent, removeIntent } from '../catalog/intents.ts';
import { addVolume, findVolume, removeVolume, setKey, type VolumeRow } from '../catalog/volumes.ts';
import { volumesInUse } from '../images/in-use.ts';
import { lockIdleImage } from '../images/lock.ts';
import { freeingLimit, removeRawImage } from '../images/raw.ts';
import { imageFile } from '../layout/sr-folder.ts';
import { imagesAreLocal } from '../providers/provider.ts';
import { getAttached } from '../sr/attached.ts';

/**
 * Volume.destroy: destroys a volume. Succeeds where there is none: xapi destroys some twice.
 *
 * @throws NamedError `Sr_not_attached`; PluginError `VolumeInUse` while its disk runs anywhere; as
 * changeCatalog.
 */
export const destroy: Handler<'Volume.destroy'> = async ({ sr, key }) => {
  const attached = getAttached(sr);
  // Disposed of after the catalog is free for others: that frees the image's blocks.
  using locks = new DisposableStack();
  await changeCatalog(attached, async ({ database }) => {
    const row = findVolume(database, key);
    if (row === undefined) return;
    const file = imageFile(attached.path, row.image);
    try {
      const lock = await lockIdleImage(file, imagesAreLocal(attached));
      if (lock === undefined) throw volumesInUse([row], 'it is destroyed');
      locks.use(lock);
      inTransaction(database, () => {
        removeVolume(database, key);
        removeImage(database, row.image.uuid);
        addIntent(database, row.image);
      });
      faultPoint('destroy.rows');
      waitsFor(`the storage of the SR in ${attached.path} to free the image ${file}`, freeingLimit);
      try {
        removeRawImage(file);
      } catch (error) {
        if (existsSync(file)) restore(database, row);
        throw error;
      }
    } catch (error) {
      throw toStorageError(error, 'the removal of a volume', attached.path);
    }
    faultPoint('destroy.image');
    removeIntent(database, row.image);
  });
};

/** Undoes the removal of a volume whose image is still there: a failure means that nothing has happened. */
function restore(database: DatabaseSync, row: VolumeRow): void {
  inTransaction(database, () => {
    addImage(database, row.image);
    addVolume(database, row);
    for (const [name, value] of Object.entries(row.keys)) setKey(database, row.key, name, value);
    removeIntent(database, row.image);
  });
}
