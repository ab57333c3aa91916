/** What is done with a volume whose disk this host runs. */
import type { DatabaseSync } from 'node:sqlite';
import { mayRunHere, withSwitchableDisk } from '../../datapath/live-control/index.ts';
import type { Image } from '../catalog/images.ts';
import { removeVolume, type VolumeRow } from '../catalog/volumes.ts';
import { requireShallow } from '../gc/depth.ts';
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
