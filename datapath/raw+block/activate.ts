import type { Handler } from '../../src/smapi/interface.ts';
import { activateDisk } from '../activation.ts';
import { rawBlockDriver } from './driver.ts';

/**
 * Datapath.activate: has the device for reading and writing, on this host: a device has no lock that other hosts see, so
 * whoever hands out its URI sees to it that one host at a time gets it, unless it is sharable.
 *
 * Repeated for a domain it changes nothing. Further domains are let in if the URI says sharable, or if all of them are
 * dom0.
 *
 * @throws PluginError `BadUri`, `VolumeInUse` also where the device is mounted or has another one on top,
 * `ImageMissing`, `NotAnImage`, `ImageFrozen`, `ImageUnusable`, `LockTimeout`.
 */
export const activate: Handler<'Datapath.activate'> = ({ uri, domain }) =>
  activateDisk(rawBlockDriver, uri, domain, 'read-write');
