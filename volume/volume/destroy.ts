import type { Handler } from '../../src/smapi/interface.ts';
import { changeCatalog } from '../catalog/catalog.ts';
import { removeCbtMetadata } from '../catalog/cbt-metadata.ts';
import { addVolume, findVolume, removeVolume, sharesImage } from '../catalog/volumes.ts';
import { ImageLocks } from '../images/lock.ts';
import { changeTree } from '../images/tree-change.ts';
import { getAttached } from '../sr/attached.ts';

/**
 * Volume.destroy: destroys a volume, and those of its images that are needed for no other. Succeeds where there is
 * no volume: xapi destroys some twice. A snapshot can be destroyed while what builds on it is in use.
 *
 * @throws NamedError `Sr_not_attached`, `Activated_on_another_host`; PluginError `VolumeInUse` while its disk runs;
 * as changeCatalog.
 */
export const destroy: Handler<'Volume.destroy'> = async ({ sr, key }) => {
  const attached = getAttached(sr);
  // Disposed of after the catalog is free for others: that frees the images' blocks.
  using locks = new ImageLocks(attached);
  await changeCatalog(attached, async ({ database }) => {
    const row = findVolume(database, key);
    if (row === undefined) {
      removeCbtMetadata(database, key);
      return;
    }
    if (!sharesImage(database, row)) await locks.takeOf(row, 'it is destroyed');
    await changeTree(database, attached.path, locks, {
      call: 'destroy',
      what: 'the removal of a volume',
      makes: [],
      freezes: [],
      drops: [row.image],
      rows: () => removeVolume(database, key),
      restoreRows: () => addVolume(database, row),
    });
  });
};
