import { PluginError } from '../../src/smapi/errors.ts';
import type { Handler } from '../../src/smapi/interface.ts';
import { changeCatalog } from '../catalog/catalog.ts';
import { addCbtMetadata, findCbtMetadata, removeCbtMetadata } from '../catalog/cbt-metadata.ts';
import { addVolume, removeVolume, sharesImage } from '../catalog/volumes.ts';
import { describeVolume } from '../images/in-use.ts';
import { ImageLocks } from '../images/lock.ts';
import { changeTree } from '../images/tree-change.ts';
import { getAttached } from '../sr/attached.ts';
import { getVolume } from './base.ts';
import { metadataKeys } from './new.ts';

/**
 * Volume.data_destroy: frees what only a snapshot needs of its data, and keeps it as what later ones are compared
 * with. It stays listed until Volume.destroy, with no URI. Succeeds where that was done before.
 *
 * @throws NamedError `Sr_not_attached`, `Volume_does_not_exist`, `Activated_on_another_host`; PluginError `NoSnapshot`,
 * `CbtDisabled` for a snapshot of a volume that was not tracked, `VolumeInUse` while its disk runs, `ImageDamaged`,
 * `ImageMissing`, `ToolMissing`, `ToolTooOld`; as changeCatalog.
 */
export const dataDestroy: Handler<'Volume.data_destroy'> = async ({ sr, key }) => {
  const attached = getAttached(sr);
  // Disposed of after the catalog is free for others: that frees the images' blocks.
  using locks = new ImageLocks(attached);
  await changeCatalog(attached, async ({ database }) => {
    if (findCbtMetadata(database, key) !== undefined) return;
    const row = getVolume(database, key);
    if (row.readWrite) {
      throw new PluginError(
        'NoSnapshot',
        `The volume ${describeVolume(row)} is no snapshot; only a snapshot's data can be destroyed.`,
      );
    }
    if (!row.cbtEnabled) {
      throw new PluginError(
        'CbtDisabled',
        `The snapshot ${describeVolume(row)} was taken without changed block tracking, and has nothing to keep; destroy it.`,
      );
    }
    if (!sharesImage(database, row)) await locks.takeOf(row, 'its data is destroyed');
    await changeTree(database, attached.path, locks, {
      call: 'data_destroy',
      what: "the removal of a snapshot's data",
      makes: [],
      freezes: [],
      drops: [row.image],
      rows: () => {
        removeVolume(database, key);
        addCbtMetadata(database, { ...row, keys: metadataKeys(row) }, row.image);
      },
      restoreRows: () => {
        removeCbtMetadata(database, key);
        addVolume(database, row);
      },
    });
  });
};
