import type { Handler } from '../../src/smapi/interface.ts';
import { changeCatalog } from '../catalog/catalog.ts';
import type { Image } from '../catalog/images.ts';
import { addVolume } from '../catalog/volumes.ts';
import { ImageLocks } from '../images/lock.ts';
import { changeTree } from '../images/tree-change.ts';
import { getAttached } from '../sr/attached.ts';
import { checkText, textLimits } from '../text.ts';
import { newVolume, statNew } from './new.ts';
import { roundSize } from './size.ts';

/**
 * Volume.create: makes a volume of at least `size` bytes that reads as zeros, in an image that takes room only as
 * it is written. It has the SR's format for images; a sharable volume is raw, for in no other format can several
 * hosts write at once.
 *
 * @throws NamedError `Sr_not_attached`; PluginError `InvalidText`, `InvalidSize`, `VolumeTooBig`, `ToolMissing`;
 * NumberedError `NoSpace`; as changeCatalog.
 */
export const create: Handler<'Volume.create'> = async ({ sr, name, description, size, sharable }) => {
  const attached = getAttached(sr);
  checkText(name, "the volume's name", textLimits.name);
  checkText(description, "the volume's description", textLimits.description);
  using locks = new ImageLocks(attached);
  return await changeCatalog(attached, async ({ database, imageFormat }) => {
    const format = sharable ? 'raw' : imageFormat;
    const virtualSize = roundSize(size, format);
    const image: Image = {
      uuid: crypto.randomUUID(),
      format,
      parent: undefined,
      virtualSize,
      physicalSize: 0n,
    };
    const row = newVolume({
      name,
      description,
      readWrite: true,
      sharable,
      cbtEnabled: false,
      keys: {},
      image,
    });
    await changeTree(database, attached.path, locks, {
      call: 'create',
      what: `a volume of ${virtualSize} bytes`,
      makes: [image],
      freezes: [],
      drops: [],
      rows: () => addVolume(database, row),
    });
    return statNew(database, attached, row.key);
  });
};
