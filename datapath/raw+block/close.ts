import type { Handler } from '../../src/smapi/interface.ts';
import { diskOf } from '../disk.ts';
import { rawBlockDriver } from './driver.ts';

/**
 * Datapath.close: does nothing, for there are no writes to drop.
 *
 * @throws PluginError `BadUri`.
 */
export const close: Handler<'Datapath.close'> = ({ uri }) => {
  diskOf(rawBlockDriver.scheme, uri);
};
