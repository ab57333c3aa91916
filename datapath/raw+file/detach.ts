import { log, logFor } from '../../src/log.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import type { Handler } from '../../src/smapi/interface.ts';
import { releaseDisk } from './release.ts';

/**
 * Datapath.detach: deactivates if that was not done, and never fails for what stands in the way: a device
 * that someone keeps open is cleared by the kernel, and its lock freed, when the last of them closes it.
 *
 * @throws PluginError `BadUri`, `LockTimeout`.
 */
export const detach: Handler<'Datapath.detach'> = async ({ dbg, uri, domain }) => {
  logFor(dbg);
  try {
    await releaseDisk(uri, domain, true);
  } catch (error) {
    if (!(error instanceof PluginError && error.name === 'DeviceInUse')) throw error;
    log('warning', error.message);
  }
};
