import type { Handler } from '../../src/smapi/interface.ts';
import { activateDisk } from '../activation.ts';
import { vhdDisk } from './disk.ts';
import { vhdFileDriver } from './driver.ts';

/**
 * Datapath.activate: locks the image, and all that it builds on, and starts a tapdisk that serves it for reading and
 * writing.
 *
 * Repeated for a domain it changes nothing. Further domains are let in if all of them are dom0.
 *
 * @throws NamedError `Activated_on_another_host`; PluginError `BadUri`, `VolumeInUse`, `DeviceInUse`,
 *   `ImageMissing`, `NotAnImage`, `ImageFrozen`, `ImageDamaged`, `ImageUnusable`, `ToolMissing`, `DiskFailed`, `NbdFailed`,
 *   `SystemdUnavailable`, `WatcherFailed`, `LockTimeout`.
 */
export const activate: Handler<'Datapath.activate'> = async ({ uri, domain }) => {
  vhdDisk(uri);
  await activateDisk(vhdFileDriver, uri, domain, 'read-write');
};
