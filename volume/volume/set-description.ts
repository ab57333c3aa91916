import type { Handler } from '../../src/smapi/interface.ts';
import { changeCatalog } from '../catalog/catalog.ts';
import { describeCbtMetadata } from '../catalog/cbt-metadata.ts';
import { setVolumeDescription } from '../catalog/volumes.ts';
import { getAttached } from '../sr/attached.ts';
import { checkText, textLimits } from '../text.ts';
import { noSuchVolume } from './missing.ts';

/**
 * Volume.set_description: changes a volume's description.
 *
 * @throws NamedError `Sr_not_attached`, `Volume_does_not_exist`; PluginError `InvalidText`; as changeCatalog.
 */
export const setDescription: Handler<'Volume.set_description'> = async ({
  sr,
  key,
  new_description: description,
}) => {
  const attached = getAttached(sr);
  checkText(description, "the volume's description", textLimits.description);
  await changeCatalog(attached, ({ database }) => {
    if (
      setVolumeDescription(database, key, description) ||
      describeCbtMetadata(database, key, () => ({ description }))
    )
      return;
    throw noSuchVolume(key);
  });
};
