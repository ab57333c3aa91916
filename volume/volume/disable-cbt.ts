import type { Handler } from '../../src/smapi/interface.ts';
import { changeCatalog } from '../catalog/catalog.ts';
import { setCbtEnabled } from '../catalog/volumes.ts';
import { getAttached } from '../sr/attached.ts';
import { getVolume, requireWritable } from './base.ts';

/**
 * Volume.disable_cbt: ends the tracking of a volume's changes. Snapshots that were taken before keep theirs.
 *
 * @throws NamedError `Sr_not_attached`, `Volume_does_not_exist`; PluginError `ReadOnlyVolume` for a snapshot,
 * `DataDestroyed`; as changeCatalog.
 */
export const disableCbt: Handler<'Volume.disable_cbt'> = async ({ sr, key }) => {
  await changeCatalog(getAttached(sr), ({ database }) => {
    requireWritable(getVolume(database, key), 'changed');
    setCbtEnabled(database, key, false);
  });
};
