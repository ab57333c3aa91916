import type { Handler } from '../../src/smapi/interface.ts';
import { changeCatalog } from '../catalog/catalog.ts';
import { describeCbtMetadata } from '../catalog/cbt-metadata.ts';
import { setVolumeName } from '../catalog/volumes.ts';
import { getAttached } from '../sr/attached.ts';
import { checkText, textLimits } from '../text.ts';
import { noSuchVolume } from './missing.ts';

/**
 * Volume.set_name: changes a volume's name.
 *
 * @throws NamedError `Sr_not_attached`, `Volume_does_not_exist`; PluginError `InvalidText`; as changeCatalog.
 */
export const setName: Handler<'Volume.set_name'> = async ({ sr, key, new_name: name }) => {
  const attached = getAttached(sr);
  checkText(name, "the volume's name", textLimits.name);
  await changeCatalog(attached, ({ database }) => {
    if (setVolumeName(database, key, name) || describeCbtMetadata(database, key, () => ({ name }))) return;
    throw noSuchVolume(key);
  });
};
