import type { DatabaseSync } from 'node:sqlite';
import { PluginError } from '../../src/smapi/errors.ts';
import { findCbtMetadata } from '../catalog/cbt-metadata.ts';
import { findImage, type Image } from '../catalog/images.ts';
import { findVolume, type VolumeRow } from '../catalog/volumes.ts';
import { imageMissing } from '../images/chain.ts';
import { formatDriver } from '../images/format.ts';
import { describeVolume } from '../images/in-use.ts';
import type { ImageLocks } from '../images/lock.ts';
import { imageFile } from '../layout/sr-folder.ts';
import { noSuchVolume } from './missing.ts';

/** An image with the content that a volume has now, for others to build on. */
export interface Base {
  readonly image: Image;
  /** Whether it is the volume's own, which has to be frozen, and the volume to get a new one on it. */
  readonly own: boolean;
}

/**
 * The image with a volume's content. A volume that is not written since its last snapshot has that snapshot's, so
 * that trees do not grow by copies of what does not change.
 *
 * @param refused what cannot be done where the volume is in use.
 * @throws PluginError `VolumeInUse`, `SharableVolume`, `ImageMissing`; NamedError `Activated_on_another_host`.
 */
export async function findBase(
  database: DatabaseSync,
  folder: string,
  locks: ImageLocks,
  row: VolumeRow,
  refused: string,
): Promise<Base> {
  const { image } = row;
  if (!row.readWrite) return { image, own: false };
  requireUnshared(row);
  const file = imageFile(folder, image);
  if ((await locks.takeOf(row, refused)) === undefined) throw imageMissing(file);
  const parent = image.parent === undefined ? undefined : findImage(database, image.parent);
  const unchanged = parent?.virtualSize === image.virtualSize && formatDriver(image.format).isEmpty(file);
  return parent !== undefined && unchanged ? { image: parent, own: false } : { image, own: true };
}

/**
 * A volume by its key, with its data.
 *
 * @throws NamedError `Volume_does_not_exist`; PluginError `DataDestroyed`.
 */
export function getVolume(database: DatabaseSync, key: string): VolumeRow {
  const row = findVolume(database, key);
  if (row === undefined) throw withoutData(database, key);
  return row;
}

function withoutData(database: DatabaseSync, key: string): Error {
  const metadata = findCbtMetadata(database, key);
  if (metadata === undefined) return noSuchVolume(key);
  return new PluginError(
    'DataDestroyed',
    `The data of the snapshot ${describeVolume(metadata)} was destroyed, and only what changed since is known; use another volume.`,
  );
}

/**
 * Refuses a change of the content of a volume that cannot have one.
 *
 * @param how such as `reverted`.
 * @throws PluginError `ReadOnlyVolume`.
 */
export function requireWritable(row: VolumeRow, how: string): void {
  if (!row.readWrite) {
    throw new PluginError(
      'ReadOnlyVolume',
      `The volume ${describeVolume(row)} is a snapshot and cannot be ${how}; clone it, and use the clone.`,
    );
  }
}

/**
 * Refuses what only a volume can have whose images build on each other.
 *
 * @throws PluginError `SharableVolume`.
 */
export function requireUnshared(row: VolumeRow): void {
  if (!row.sharable) return;
  throw new PluginError(
    'SharableVolume',
    `The volume ${describeVolume(row)} is sharable, and so can have no snapshots and no clones; make it anew and copy its content.`,
  );
}
