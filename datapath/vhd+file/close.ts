import type { Handler } from '../../src/smapi/interface.ts';
import { vhdDisk } from './disk.ts';

/**
 * Datapath.close: does nothing, for there are no writes to drop.
 *
 * @throws PluginError `BadUri`.
 */
export const close: Handler<'Datapath.close'> = ({ uri }) => {
  vhdDisk(uri);
};
