import type { Handler } from '../../src/smapi/interface.ts';
import { qcow2Disk } from './disk.ts';

/**
 * Datapath.close: does nothing, for there are no writes to drop.
 *
 * @throws PluginError `BadUri`.
 */
export const close: Handler<'Datapath.close'> = ({ uri }) => {
  qcow2Disk(uri);
};
