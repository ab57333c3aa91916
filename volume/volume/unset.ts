import type { Handler } from '../../src/smapi/interface.ts';
import { changeCatalog } from '../catalog/catalog.ts';
import { describeCbtMetadata } from '../catalog/cbt-metadata.ts';
import { hasVolume, unsetKey } from '../catalog/volumes.ts';
import { getAttached } from '../sr/attached.ts';
import { noSuchVolume } from './missing.ts';

/**
 * Volume.unset: forgets a key of a volume. Succeeds where the volume has no such key.
 *
 * @throws NamedError `Sr_not_attached`, `Volume_does_not_exist`; as changeCatalog.
 */
export const unset: Handler<'Volume.unset'> = async ({ sr, key, k }) => {
  const attached = getAttached(sr);
  await changeCatalog(attached, ({ database }) => {
    if (hasVolume(database, key)) unsetKey(database, key, k);
    else if (!describeCbtMetadata(database, key, ({ keys: { [k]: _, ...keys } }) => ({ keys }))) {
      throw noSuchVolume(key);
    }
  });
};
