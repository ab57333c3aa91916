import { faultPoint } from '../../src/fault-point.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import type { Handler } from '../../src/smapi/interface.ts';
import { changeCatalog } from '../catalog/catalog.ts';
import { inTransaction } from '../catalog/database.ts';
import { toStorageError } from '../catalog/errors.ts';
import { setVirtualSize } from '../catalog/images.ts';
import { addIntent, removeIntent } from '../catalog/intents.ts';
import { findVolume } from '../catalog/volumes.ts';
import { describeVolume, volumesInUse } from '../images/in-use.ts';
import { lockIdleImage } from '../images/lock.ts';
import { growRawImage, rawImageSize } from '../images/raw.ts';
import { imageFile } from '../layout/sr-folder.ts';
import { imagesAreLocal } from '../providers/provider.ts';
import { getAttached } from '../sr/attached.ts';
import { noSuchVolume } from './missing.ts';
import { roundSize } from './size.ts';

/**
 * Volume.resize: grows a volume to at least `new_size` bytes; the new part reads as zeros.
 *
 * @throws NamedError `Sr_not_attached`, `Volume_does_not_exist`; PluginError `InvalidSize` for less than it
 * has, `VolumeInUse` while its disk runs anywhere, `ImageMissing`, `VolumeTooBig`; as changeCatalog.
 */
export const resize: Handler<'Volume.resize'> = async ({ sr, key, new_size }) => {
  const attached = getAttached(sr);
  const size = roundSize(new_size);
  await changeCatalog(attached, async ({ database }) => {
    const row = findVolume(database, key);
    if (row === undefined) throw noSuchVolume(key);
    const { image } = row;
    if (size === image.virtualSize) return;
    if (size < image.virtualSize) {
      throw new PluginError(
        'InvalidSize',
        `The volume ${describeVolume(row)} has ${image.virtualSize} bytes and cannot shrink to ${size}: volumes only grow.`,
      );
    }
    const file = imageFile(attached.path, image);
    using lock = await lockIdleImage(file, imagesAreLocal(attached));
    if (lock === undefined) throw volumesInUse([row], 'it is resized');
    addIntent(database, image);
    faultPoint('resize.intent');
    let grown = image.virtualSize;
    try {
      grown = growRawImage(file, size);
    } catch (error) {
      const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
      // It may have grown all the same, as when only the flush failed: then the intent lets the next call see.
      if (missing || hasSize(file, image.virtualSize)) removeIntent(database, image);
      if (missing) throw imageMissing(file, error);
      throw toStorageError(error, `a volume of ${size} bytes`, attached.path);
    }
    faultPoint('resize.grown');
    inTransaction(database, () => {
      setVirtualSize(database, image.uuid, grown);
      removeIntent(database, image);
    });
  });
};

function hasSize(file: string, size: bigint): boolean {
  try {
    return rawImageSize(file) === size;
  } catch {
    return false;
  }
}

function imageMissing(file: string, cause: unknown): PluginError {
  return new PluginError('ImageMissing', `The volume's image ${file} is missing; restore it from a backup.`, {
    cause,
  });
}
