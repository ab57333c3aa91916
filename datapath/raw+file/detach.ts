import { logFor } from '../../src/log.ts';
import type { Handler } from '../../src/smapi/interface.ts';
import { detachDisk } from '../release.ts';
import { rawFileDriver } from './driver.ts';

/**
 * Datapath.detach: deactivates if that was not done, and never fails for what stands in the way: a device
 * that someone keeps open is cleared by the kernel, and its lock freed, when the last of them closes it.
 *
 * @throws PluginError `BadUri`, `LockTimeout`.
 */
export const detach: Handler<'Datapath.detach'> = async ({ dbg, uri, domain }) => {
  logFor(dbg);
  await detachDisk(rawFileDriver, uri, domain);
};
