import type { Handler } from '../../src/smapi/interface.ts';
import { activateDisk } from '../activation.ts';
import { vhdDisk } from './disk.ts';
import { vhdFileDriver } from './driver.ts';

/**
 * Datapath.activate_readonly: locks the image against writers and serves it for reading, to any number of
 * domains and hosts.
 *
 * @throws as Datapath.activate.
 */
export const activateReadonly: Handler<'Datapath.activate_readonly'> = async ({ uri, domain }) => {
  vhdDisk(uri);
  await activateDisk(vhdFileDriver, uri, domain, 'read-only');
};
