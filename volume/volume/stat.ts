import type { Handler } from '../../src/smapi/interface.ts';
import { readCatalog } from '../catalog/catalog.ts';
import { findCbtMetadata } from '../catalog/cbt-metadata.ts';
import { toStorageError } from '../catalog/errors.ts';
import { findVolume, type VolumeRow } from '../catalog/volumes.ts';
import { allocatedSize } from '../images/allocation.ts';
import { imageFile } from '../layout/sr-folder.ts';
import { imagesAreLocal } from '../providers/provider.ts';
import { type AttachedSr, getAttached } from '../sr/attached.ts';
import { noSuchVolume } from './missing.ts';
import { toCbtVolume, toVolume } from './record.ts';

/**
 * Volume.stat: describes a volume. Where nobody is disturbed by it, what the image takes on the storage is
 * looked up anew, and recorded for SR.ls.
 *
 * @throws NamedError `Sr_not_attached`, `Volume_does_not_exist`; as readCatalog.
 */
export const stat: Handler<'Volume.stat'> = async ({ sr, key }) => {
  const attached = getAttached(sr);
  const { row, metadata } = await readCatalog(attached, ({ database }) => {
    const found = findVolume(database, key);
    return { row: found, metadata: found === undefined ? findCbtMetadata(database, key) : undefined };
  });
  if (metadata !== undefined) return toCbtVolume(metadata);
  if (row === undefined) throw noSuchVolume(key);
  return toVolume(attached, await withAllocation(attached, row));
};

function measure(sr: AttachedSr, row: VolumeRow): bigint | undefined {
  try {
    return allocatedSize(imageFile(sr.path, row.image));
  } catch (error) {
    throw toStorageError(error, 'a look at an image', sr.path);
  }
}

async function withAllocation(sr: AttachedSr, row: VolumeRow): Promise<VolumeRow> {
  if (!imagesAreLocal(sr)) return row;
  const physicalSize = measure(sr, row);
  if (physicalSize === undefined || physicalSize === row.image.physicalSize) return row;
  const { recordAllocation } = await import('../images/record-allocation.ts');
  await recordAllocation(sr, row.image, physicalSize);
  return { ...row, image: { ...row.image, physicalSize } };
}
