import type { Handler } from '../../src/smapi/interface.ts';
import { releaseDisk } from '../release.ts';
import { vhdFileDriver } from './driver.ts';

/**
 * Datapath.deactivate: after the last domain everything written is on the storage and the locks are free.
 *
 * Succeeds for a disk that is not active, and for a missing image.
 *
 * @throws PluginError `BadUri`; `DeviceInUse` while someone keeps the block device open, or the process cannot end,
 *   `FlushFailed` when the storage refused writes, `DiskUnresponsive`, `LockTimeout`. The call may be repeated.
 */
export const deactivate: Handler<'Datapath.deactivate'> = ({ uri, domain }) =>
  releaseDisk(vhdFileDriver, uri, domain);
