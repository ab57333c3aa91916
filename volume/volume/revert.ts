import { PluginError } from '../../src/smapi/errors.ts';
import type { Handler } from '../../src/smapi/interface.ts';
import { changeCatalog } from '../catalog/catalog.ts';
import { setVolumeImage } from '../catalog/volumes.ts';
import { requireShallow } from '../gc/depth.ts';
import { describeVolume } from '../images/in-use.ts';
import { ImageLocks } from '../images/lock.ts';
import { changeTree } from '../images/tree-change.ts';
import { getAttached } from '../sr/attached.ts';
import { getVolume, requireUnshared, requireWritable } from './base.ts';
import { newLeaf } from './new.ts';

/**
 * Volume.revert: gives a volume a snapshot's content and size, in a time that depends on neither's size. The
 * volume stays what it is to whoever knows its key; what it had is dropped, unless another volume builds on it.
 *
 * @throws NamedError `Sr_not_attached`, `Volume_does_not_exist`, `Activated_on_another_host`; PluginError
 * `NoSnapshot` where a volume to be written is given as snapshot, `ReadOnlyVolume`, `SharableVolume`, `ChainTooDeep`,
 * `VolumeInUse`, `ImageMissing`, `ImageDamaged`, `ToolMissing`; NumberedError `NoSpace`; as changeCatalog.
 */
export const revert: Handler<'Volume.revert'> = async ({ sr, snapshot, key }) => {
  const attached = getAttached(sr);
  using locks = new ImageLocks(attached);
  await changeCatalog(attached, async ({ database }) => {
    const from = getVolume(database, snapshot);
    const row = getVolume(database, key);
    if (from.readWrite) {
      throw new PluginError(
        'NoSnapshot',
        `The volume ${describeVolume(from)} is no snapshot; revert to a snapshot, or clone it.`,
      );
    }
    requireWritable(row, 'reverted');
    requireUnshared(row);
    await locks.takeOf(row, 'it is reverted');
    requireShallow(database, from.image, row);
    const leaf = newLeaf(from.image, from.image.virtualSize);
    await changeTree(database, attached.path, locks, {
      call: 'revert',
      what: 'a revert',
      makes: [leaf],
      // Who still comes with its URI must not write to it.
      freezes: [row.image],
      drops: [row.image],
      rows: () => setVolumeImage(database, key, leaf.uuid),
    });
  });
};
