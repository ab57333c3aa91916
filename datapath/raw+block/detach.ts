import { logFor } from '../../src/log.ts';
import type { Handler } from '../../src/smapi/interface.ts';
import { detachDisk } from '../release.ts';
import { rawBlockDriver } from './driver.ts';

/**
 * Datapath.detach: deactivates if that was not done, and never fails for what stands in the way.
 *
 * @throws PluginError `BadUri`, `LockTimeout`.
 */
export const detach: Handler<'Datapath.detach'> = async ({ dbg, uri, domain }) => {
  logFor(dbg);
  await detachDisk(rawBlockDriver, uri, domain);
};
