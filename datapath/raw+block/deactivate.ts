import type { Handler } from '../../src/smapi/interface.ts';
import { releaseDisk } from '../release.ts';
import { rawBlockDriver } from './driver.ts';

/**
 * Datapath.deactivate: after the last domain everything written is on the storage, and nobody of this host has the device
 * open.
 *
 * Succeeds for a disk that is not active, and for a missing device.
 *
 * @throws PluginError `BadUri`; `DeviceInUse` while someone keeps the device open, `FlushFailed` when the
 *   storage refused writes, `LockTimeout`. The disk stays active then, and the call may be repeated.
 */
export const deactivate: Handler<'Datapath.deactivate'> = ({ uri, domain }) =>
  releaseDisk(rawBlockDriver, uri, domain);
