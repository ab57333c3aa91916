import type { Handler } from '../../src/smapi/interface.ts';
import { activateDisk } from '../activation.ts';
import { rawFileDriver } from './driver.ts';

/**
 * Datapath.activate: locks the image and serves it for reading and writing.
 *
 * Repeated for a domain it changes nothing. Further domains are let in if the URI says sharable, or if all
 * of them are dom0.
 *
 * @throws NamedError `Activated_on_another_host`; PluginError `BadUri`, `VolumeInUse`, `DeviceInUse`,
 *   `ImageMissing`, `NotAnImage`, `ImageFrozen`, `LoopMissing`, `NoFreeLoop`, `LockTimeout`.
 */
export const activate: Handler<'Datapath.activate'> = ({ uri, domain }) =>
  activateDisk(rawFileDriver, uri, domain, 'read-write');
