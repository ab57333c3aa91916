import { waitsFor } from '../../src/deadline.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import type { Handler } from '../../src/smapi/interface.ts';
import { changeCatalog } from '../catalog/catalog.ts';
import { inTransaction } from '../catalog/database.ts';
import { toStorageError } from '../catalog/errors.ts';
import { listChain, setVirtualSize } from '../catalog/images.ts';
import { addIntent, removeIntent } from '../catalog/intents.ts';
import { checkChain, imageMissing } from '../images/chain.ts';
import { stopAt } from '../images/fault-points.ts';
import { formatDriver } from '../images/format.ts';
import { describeVolume } from '../images/in-use.ts';
import { ImageLocks } from '../images/lock.ts';
import { imageFile } from '../layout/sr-folder.ts';
import { getAttached } from '../sr/attached.ts';
import { getVolume, requireWritable } from './base.ts';
import { growRunning, hasSize } from './running.ts';
import { roundSize } from './size.ts';

/**
 * Volume.resize: grows a volume to at least `new_size` bytes; the new part reads as zeros. Its disk may run on this host
 * meanwhile, except in vhd; its users see the new size.
 *
 * @throws NamedError `Sr_not_attached`, `Volume_does_not_exist`, `Activated_on_another_host`; PluginError
 * `InvalidSize` for less than it has, `ReadOnlyVolume` for a snapshot, `VolumeInUse` while its disk is read only or
 * its users cannot be told of another size, `SharableVolume` while a sharable disk runs, `ResizeFailed`, `NbdFailed`,
 * `LoopFailed`, `DiskUnresponsive`, `ImageMissing`, `ImageDamaged`, `VolumeTooBig`; as changeCatalog.
 */
export const resize: Handler<'Volume.resize'> = async ({ sr, key, new_size }) => {
  const attached = getAttached(sr);
  using locks = new ImageLocks(attached);
  await changeCatalog(attached, async ({ database }) => {
    const row = getVolume(database, key);
    const { image } = row;
    const size = roundSize(new_size, image.format);
    if (size === image.virtualSize) return;
    requireWritable(row, 'resized');
    if (size < image.virtualSize) {
      throw new PluginError(
        'InvalidSize',
        `The volume ${describeVolume(row)} has ${image.virtualSize} bytes and cannot shrink to ${size}: volumes only grow.`,
      );
    }
    if (await growRunning(database, attached.path, row, size)) return;
    const file = imageFile(attached.path, image);
    const lock = await locks.takeOf(row, 'it is resized');
    if (lock === undefined) throw imageMissing(file);
    checkChain(attached.path, listChain(database, image));
    const driver = formatDriver(image.format);
    addIntent(database, image);
    stopAt('resize', 'intent');
    try {
      waitsFor(`the storage of the SR in ${attached.path} to grow the image ${file}`);
      await driver.grow(file, size, lock);
    } catch (error) {
      // It may have grown all the same, as when only the flush failed: then the intent lets the next call see.
      if (hasSize(image, file)) removeIntent(database, image);
      throw toStorageError(error, `a volume of ${size} bytes`, attached.path);
    }
    stopAt('resize', 'grown');
    const grown = driver.size(file);
    inTransaction(database, () => {
      setVirtualSize(database, image.uuid, grown);
      removeIntent(database, image);
    });
  });
};
