import { faultPoint } from '../../src/fault-point.ts';
import type { Handler } from '../../src/smapi/interface.ts';
import { changeCatalog } from '../catalog/catalog.ts';
import { inTransaction } from '../catalog/database.ts';
import { toStorageError } from '../catalog/errors.ts';
import { removeImage } from '../catalog/images.ts';
import { addIntent, removeIntent } from '../catalog/intents.ts';
import { findVolume, removeVolume } from '../catalog/volumes.ts';
import { volumesInUse } from '../images/in-use.ts';
import { lockImage } from '../images/lock.ts';
import { removeRawImage } from '../images/raw.ts';
import { imageFile } from '../layout/sr-folder.ts';
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
  await changeCatalog(attached, ({ database }) => {
    const row = findVolume(database, key);
    if (row === undefined) return;
    const file = imageFile(attached.path, row.image);
    try {
      const lock = lockImage(file);
      if (lock === undefined) throw volumesInUse([row], 'it is destroyed');
      locks.use(lock);
      inTransaction(database, () => {
        removeVolume(database, key);
        removeImage(database, row.image.uuid);
        addIntent(database, row.image);
      });
      faultPoint('destroy.rows');
      removeRawImage(file);
    } catch (error) {
      throw toStorageError(error, 'the removal of a volume', attached.path);
    }
    faultPoint('destroy.image');
    removeIntent(database, row.image);
  });
};
