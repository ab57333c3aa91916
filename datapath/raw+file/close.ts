import type { Handler } from '../../src/smapi/interface.ts';
import { diskOf } from '../disk.ts';
import { rawFileDriver } from './driver.ts';

/**
 * Datapath.close: does nothing, for there are no writes to drop.
 *
 * @throws PluginError `BadUri`.
 */
export const close: Handler<'Datapath.close'> = ({ uri }) => {
  diskOf(rawFileDriver.scheme, uri);
};
