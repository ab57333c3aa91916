import type { Handler } from '../../src/smapi/interface.ts';
import { releaseDisk } from '../release.ts';
import { rawFileDriver } from './driver.ts';

/**
 * Datapath.deactivate: after the last domain everything written is on the storage and the lock is free.
 *
 * Succeeds for a disk that is not active, and for a missing image.
 *
 * @throws PluginError `BadUri`; `DeviceInUse` while someone keeps the device open, `FlushFailed` when the
 *   storage refused writes, `LockTimeout`. The disk stays active then, and the call may be repeated.
 */
export const deactivate: Handler<'Datapath.deactivate'> = ({ uri, domain }) =>
  releaseDisk(rawFileDriver, uri, domain);
