import type { Handler } from '../../src/smapi/interface.ts';
import { changeCatalog } from '../catalog/catalog.ts';
import { describeCbtMetadata } from '../catalog/cbt-metadata.ts';
import { hasVolume, setKey } from '../catalog/volumes.ts';
import { getAttached } from '../sr/attached.ts';
import { checkText, textLimits } from '../text.ts';
import { noSuchVolume } from './missing.ts';

/**
 * Volume.set: stores a key and a value with a volume; any text but NUL is either, also the empty one.
 *
 * @throws NamedError `Sr_not_attached`, `Volume_does_not_exist`; PluginError `InvalidText`; as changeCatalog.
 */
export const set: Handler<'Volume.set'> = async ({ sr, key, k, v }) => {
  const attached = getAttached(sr);
  checkText(k, 'the key', textLimits.keyName);
  checkText(v, 'the value', textLimits.keyValue);
  await changeCatalog(attached, ({ database }) => {
    if (hasVolume(database, key)) setKey(database, key, k, v);
    else if (!describeCbtMetadata(database, key, ({ keys }) => ({ keys: { ...keys, [k]: v } }))) {
      throw noSuchVolume(key);
    }
  });
};
