import type { Handler } from '../../src/smapi/interface.ts';
import { changeCatalog } from '../catalog/catalog.ts';
import { addVolume, setVolumeImage } from '../catalog/volumes.ts';
import { requireShallow } from '../gc/depth.ts';
import { ImageLocks } from '../images/lock.ts';
import { changeTree } from '../images/tree-change.ts';
import { getAttached } from '../sr/attached.ts';
import { findBase, getVolume } from './base.ts';
import { inheritedKeys, newLeaf, newVolume, statNew } from './new.ts';

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
    const base = await findBase(database, attached.path, locks, row, 'it is cloned');
    requireShallow(database, base.image, row);
    const copy = newVolume({
      name: row.name,
      description: row.description,
      readWrite: true,
      sharable: false,
      cbtEnabled: false,
      keys: inheritedKeys(row),
      image: newLeaf(base.image, row.image.virtualSize),
    });
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
