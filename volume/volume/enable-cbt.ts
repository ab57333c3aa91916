import type { Handler } from '../../src/smapi/interface.ts';
import { changeCatalog } from '../catalog/catalog.ts';
import { setCbtEnabled } from '../catalog/volumes.ts';
import { getAttached } from '../sr/attached.ts';
import { getVolume, requireUnshared, requireWritable } from './base.ts';

/**
 * Volume.enable_cbt: has the changes of a volume tracked from its next snapshot on; also while its disk runs, for its
 * images hold what that takes.
 *
 * @throws NamedError `Sr_not_attached`, `Volume_does_not_exist`; PluginError `ReadOnlyVolume` for a snapshot,
 * `SharableVolume`, for it can have no snapshots, `DataDestroyed`; as changeCatalog.
 */
export const enableCbt: Handler<'Volume.enable_cbt'> = async ({ sr, key }) => {
  await changeCatalog(getAttached(sr), ({ database }) => {
    const row = getVolume(database, key);
    requireWritable(row, 'tracked');
    requireUnshared(row);
    setCbtEnabled(database, key, true);
  });
};
