import { faultPoint } from '../../src/fault-point.ts';
import type { Handler } from '../../src/smapi/interface.ts';
import { changeCatalog } from '../catalog/catalog.ts';
import { inTransaction } from '../catalog/database.ts';
import { toStorageError } from '../catalog/errors.ts';
import { addImage } from '../catalog/images.ts';
import { addIntent, removeIntent } from '../catalog/intents.ts';
import { addVolume, type VolumeRow } from '../catalog/volumes.ts';
import { createRawImage } from '../images/raw.ts';
import { imageFile } from '../layout/sr-folder.ts';
import { getAttached } from '../sr/attached.ts';
import { checkText, textLimits } from '../text.ts';
import { toVolume } from './record.ts';
import { roundSize } from './size.ts';

/**
 * Volume.create: makes a volume of at least `size` bytes that reads as zeros, in a raw image that takes
 * room only as it is written.
 *
 * @throws NamedError `Sr_not_attached`; PluginError `InvalidText`, `InvalidSize`, `VolumeTooBig`;
 * NumberedError `NoSpace`; as changeCatalog.
 */
export const create: Handler<'Volume.create'> = async ({ sr, name, description, size, sharable }) => {
  const attached = getAttached(sr);
  checkText(name, "the volume's name", textLimits.name);
  checkText(description, "the volume's description", textLimits.description);
  const virtualSize = roundSize(size);
  const row: VolumeRow = {
    key: crypto.randomUUID(),
    name,
    description,
    readWrite: true,
    sharable,
    keys: {},
    image: { uuid: crypto.randomUUID(), format: 'raw', virtualSize, physicalSize: 0n },
  };
  await changeCatalog(attached, ({ database }) => {
    addIntent(database, row.image);
    faultPoint('create.intent');
    try {
      createRawImage(imageFile(attached.path, row.image), virtualSize);
    } catch (error) {
      removeIntent(database, row.image);
      throw toStorageError(error, `a volume of ${virtualSize} bytes`, attached.path);
    }
    faultPoint('create.image');
    inTransaction(database, () => {
      addImage(database, row.image);
      addVolume(database, row);
      removeIntent(database, row.image);
    });
    faultPoint('create.row');
  });
  return toVolume(attached, row);
};
