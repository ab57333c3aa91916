import type { Handler } from '../../src/smapi/interface.ts';
import { changeCatalog } from '../catalog/catalog.ts';
import type { Image } from '../catalog/images.ts';
import { addVolume, setVolumeImage, type VolumeRow } from '../catalog/volumes.ts';
import { requireShallow } from '../gc/depth.ts';
import { ImageLocks } from '../images/lock.ts';
import { changeTree } from '../images/tree-change.ts';
import { getAttached } from '../sr/attached.ts';
import { findBase, getVolume } from './base.ts';
import { inheritedKeys, newLeaf, newVolume, statNew } from './new.ts';
import { copyRunning } from './running.ts';

/**
 * Volume.clone: makes a volume to be written with the content that another has now, in a time that depends on
 * neither's size. It builds on the other's image; one that could still be written is frozen as for a snapshot.
 *
 * @throws as Volume.snapshot.
 */
export const clone: Handler<'Volume.clone'> = async ({ sr, key }) => {
  const attached = getAttached(sr);
  using locks = new ImageLocks(attached);
  return await changeCatalog(attached, async ({ database }) => {
    const row = getVolume(database, key);
    const running = await copyRunning(database, attached.path, row, {
      call: 'live-clone',
      what: 'a clone',
      volume: (frozen) => newClone(row, frozen),
      add: (volume) => addVolume(database, volume),
    });
    if (running !== undefined) return statNew(database, attached, running);
    const base = await findBase(database, attached.path, locks, row, 'it is cloned');
    requireShallow(database, base.image, row);
    const copy = newClone(row, base.image);
    const ownLeaves = base.own ? [newLeaf(base.image, row.image.virtualSize)] : [];
    await changeTree(database, attached.path, locks, {
      call: 'clone',
      what: 'a clone',
      makes: [copy.image, ...ownLeaves],
      freezes: base.own ? [base.image] : [],
      drops: [],
      rows: () => {
        for (const leaf of ownLeaves) setVolumeImage(database, key, leaf.uuid);
        addVolume(database, copy);
      },
    });
    return statNew(database, attached, copy.key);
  });
};

function newClone(row: VolumeRow, base: Image): VolumeRow {
  return newVolume({
    name: row.name,
    description: row.description,
    readWrite: true,
    sharable: false,
    cbtEnabled: false,
    keys: inheritedKeys(row),
    image: newLeaf(base, row.image.virtualSize),
  });
}
