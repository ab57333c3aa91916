/** What is done with a volume whose disk this host runs. */
import type { DatabaseSync } from 'node:sqlite';
import { mayRunHere, withGrowableDisk, withSwitchableDisk } from '../../datapath/live-control/index.ts';
import { waitsFor } from '../../src/deadline.ts';
import { inTransaction } from '../catalog/database.ts';
import { toStorageError } from '../catalog/errors.ts';
import { type Image, setVirtualSize } from '../catalog/images.ts';
import { addIntent, listIntents, makeLasting, removeIntent } from '../catalog/intents.ts';
import { removeVolume, type VolumeRow } from '../catalog/volumes.ts';
import { requireShallow } from '../gc/depth.ts';
import { stopAt } from '../images/fault-points.ts';
import { formatDriver } from '../images/format.ts';
import { freezeRunning } from '../images/running-tree.ts';
import { imageUri } from '../images/uri.ts';
import { imageFile } from '../layout/sr-folder.ts';

/** A volume that is made of another one whose disk runs. */
export interface RunningCopy {
  readonly call: 'live-snapshot' | 'live-clone';
  readonly what: string;
  /** Its row, when `frozen` has what the other's image held until now. */
  readonly volume: (frozen: Image) => VolumeRow;
  /** Adds the row. */
  readonly add: (volume: VolumeRow) => void;
}

/**
 * Makes a volume with the content that one has at this moment, whose disk goes on running.
 *
 * @returns the new volume's key; undefined where this host does not run the disk.
 * @throws as requireShallow and freezeRunning.
 */
export async function copyRunning(
  database: DatabaseSync,
  folder: string,
  row: VolumeRow,
  { call, what, volume, add }: RunningCopy,
): Promise<string | undefined> {
  const { image: leaf } = row;
  const uri = imageUri(imageFile(folder, leaf), leaf.format, row.sharable);
  if (!row.readWrite || !mayRunHere(uri)) return undefined;
  return await withSwitchableDisk(uri, async (disk) => {
    requireShallow(database, leaf, row);
    const frozen = { ...leaf, uuid: crypto.randomUUID() };
    const copy = volume(frozen);
    await freezeRunning(
      database,
      folder,
      disk,
      { leaf, frozen },
      {
        call,
        what,
        makes: copy.image.uuid === frozen.uuid ? [] : [copy.image],
        rows: () => add(copy),
        restoreRows: () => removeVolume(database, copy.key),
      },
    );
    return copy.key;
  });
}

/**
 * Grows a volume's running disk. A call that dies leaves an intent: when the disk does not run any more its image's
 * size counts, and a repeated call goes on where this one was.
 *
 * @param size the new one, in bytes.
 * @returns whether this host runs the disk.
 * @throws as withGrowableDisk and toStorageError.
 */
export async function growRunning(
  database: DatabaseSync,
  folder: string,
  { image, sharable }: VolumeRow,
  size: bigint,
): Promise<boolean> {
  const file = imageFile(folder, image);
  const driver = formatDriver(image.format);
  const hasGrown = await withGrowableDisk(imageUri(file, image.format, sharable), async (disk) => {
    // What others left to be settled stays to be settled.
    const isUnsettled = listIntents(database).some(({ uuid }) => uuid === image.uuid);
    inTransaction(database, () => {
      addIntent(database, image);
      makeLasting(database, image);
    });
    stopAt('live-resize', 'intent');
    try {
      waitsFor(`the storage of the SR in ${folder} to grow the image ${file}`);
      await disk.growTo(size, () => driver.grow(file, size, undefined));
    } catch (error) {
      if (!isUnsettled && hasSize(image, file)) removeIntent(database, image);
      throw toStorageError(error, `a volume of ${size} bytes`, folder);
    }
    stopAt('live-resize', 'grown');
    inTransaction(database, () => {
      setVirtualSize(database, image.uuid, driver.size(file));
      if (!isUnsettled) removeIntent(database, image);
    });
    return true;
  });
  return hasGrown === true;
}

/** Whether an image's file has the size of its row. */
export function hasSize({ format, virtualSize }: Image, file: string): boolean {
  try {
    return formatDriver(format).size(file) === virtualSize;
  } catch {
    return false;
  }
}
