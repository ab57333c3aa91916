import { PluginError } from '../../src/smapi/errors.ts';
import type { Handler } from '../../src/smapi/interface.ts';
import { changeCatalog } from '../catalog/catalog.ts';
import { findImage } from '../catalog/images.ts';
import { removeVolume, type VolumeRow } from '../catalog/volumes.ts';
import { checkImage, imageMissing } from '../images/chain.ts';
import { describeVolume } from '../images/in-use.ts';
import { ImageLocks } from '../images/lock.ts';
import { changeTree } from '../images/tree-change.ts';
import { imageFile } from '../layout/sr-folder.ts';
import { getAttached } from '../sr/attached.ts';
import { getVolume, requireUnshared, requireWritable } from './base.ts';

/**
 * Volume.compose: puts what a volume, `key`, holds itself on another one's content, `key2`, in a time that depends on
 * neither's size. What the volume had from its parent before is not seen any more, and the other volume is gone: its
 * image is the volume's parent. Storage migration makes a disk of what it mirrored and what it copied by this.
 *
 * @throws NamedError `Sr_not_attached`, `Volume_does_not_exist`, `Activated_on_another_host`; PluginError
 * `CannotCompose` where what the volume holds itself is not known, or is smaller, `ReadOnlyVolume`, `SharableVolume`,
 * `VolumeInUse`, `ImageMissing`, `ImageDamaged`, `ToolMissing`; as changeCatalog.
 */
export const compose: Handler<'Volume.compose'> = async ({ sr, key, key2 }) => {
  const attached = getAttached(sr);
  using locks = new ImageLocks(attached);
  await changeCatalog(attached, async ({ database }) => {
    const child = getVolume(database, key);
    const parent = getVolume(database, key2);
    requireComposable(child, parent);
    const { path } = attached;
    for (const row of parent.readWrite ? [child, parent] : [child]) {
      if ((await locks.takeOf(row, 'it is composed')) === undefined) {
        throw imageMissing(imageFile(path, row.image));
      }
      const above = row.image.parent === undefined ? undefined : findImage(database, row.image.parent);
      checkImage(path, row.image, above);
    }
    const old = child.image.parent === undefined ? undefined : findImage(database, child.image.parent);
    await changeTree(database, path, locks, {
      call: 'compose',
      what: 'a composed volume',
      makes: [],
      freezes: parent.readWrite ? [parent.image] : [],
      drops: old === undefined ? [] : [old],
      rebases: [{ image: child.image, parent: parent.image }],
      rows: () => removeVolume(database, key2),
    });
  });
};

function requireComposable(child: VolumeRow, parent: VolumeRow): void {
  requireWritable(child, 'composed');
  requireUnshared(child);
  requireUnshared(parent);
  const names = [describeVolume(child), describeVolume(parent)] as const;
  if (child.key === parent.key) throw cannotCompose(`The volume ${names[0]} cannot be put on itself`);
  if (child.image.format === 'raw') {
    throw cannotCompose(
      `The volume ${names[0]} is raw, so that what was written to it cannot be told from what was not, and cannot be put on another`,
    );
  }
  if (child.image.format === 'vhd' || parent.image.format === 'vhd') {
    const [vhd, other] = child.image.format === 'vhd' ? names : [names[1], names[0]];
    throw cannotCompose(
      `The volume ${vhd} is in vhd, whose images keep the parent that they were made with, and cannot be composed with ${other}; copy the data`,
    );
  }
  if (child.image.virtualSize < parent.image.virtualSize) {
    throw cannotCompose(
      `The volume ${names[0]} has ${child.image.virtualSize} bytes, and cannot be put on ${names[1]} with ${parent.image.virtualSize}; resize it before`,
    );
  }
}

function cannotCompose(sentence: string): PluginError {
  return new PluginError('CannotCompose', `${sentence}.`);
}
