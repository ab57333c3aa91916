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
 * Volume.snapshot: makes a read-only volume with the content that another has now, in a time that depends on
 * neither's size. What the volume held becomes the snapshot's, and the volume gets a new image that builds on it; a
 * disk in qcow2 or vhd may run on this host meanwhile.
 *
 * @throws NamedError `Sr_not_attached`, `Volume_does_not_exist`, `Activated_on_another_host`; PluginError
 * `VolumeInUse` while its disk runs and is raw, `SwitchFailed`, `DiskUnresponsive`, `SharableVolume`,
 * `ChainTooDeep`, `ImageMissing`, `ImageDamaged`, `ToolMissing`; NumberedError `NoSpace`; as changeCatalog.
 */
export const snapshot: Handler<'Volume.snapshot'> = async ({ sr, key }) => {
  const attached = getAttached(sr);
  using locks = new ImageLocks(attached);
  return await changeCatalog(attached, async ({ database }) => {
    const row = getVolume(database, key);
    const running = await copyRunning(database, attached.path, row, {
      call: 'live-snapshot',
      what: 'a snapshot',
      volume: (frozen) => newSnapshot(row, frozen),
      add: (volume) => addVolume(database, volume),
    });
    if (running !== undefined) return statNew(database, attached, running);
    const base = await findBase(database, attached.path, locks, row, 'a snapshot of it is taken');
    if (base.own) requireShallow(database, base.image, row);
    const copy = newSnapshot(row, base.image);
    const leaves = base.own ? [newLeaf(base.image, base.image.virtualSize)] : [];
    await changeTree(database, attached.path, locks, {
      call: 'snapshot',
      what: 'a snapshot',
      makes: leaves,
      freezes: base.own ? [base.image] : [],
      adopts: base.own ? [] : [base.image],
      drops: [],
      rows: () => {
        for (const leaf of leaves) setVolumeImage(database, key, leaf.uuid);
        addVolume(database, copy);
      },
    });
    return statNew(database, attached, copy.key);
  });
};

function newSnapshot(row: VolumeRow, image: Image): VolumeRow {
  return newVolume({
    name: row.name,
    description: row.description,
    readWrite: false,
    sharable: false,
    cbtEnabled: row.cbtEnabled,
    keys: inheritedKeys(row),
    image,
  });
}
