import { logFor } from '../../src/log.ts';
import type { Handler } from '../../src/smapi/interface.ts';
import { detachDisk } from '../release.ts';
import { vhdFileDriver } from './driver.ts';

/**
 * Datapath.detach: deactivates if that was not done, and never fails for what stands in the way: a process whose
 * storage hangs ends, and frees its locks, when that answers.
 *
 * @throws PluginError `BadUri`, `LockTimeout`.
 */
export const detach: Handler<'Datapath.detach'> = async ({ dbg, uri, domain }) => {
  logFor(dbg);
  await detachDisk(vhdFileDriver, uri, domain);
};
