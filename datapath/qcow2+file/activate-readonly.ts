import type { Handler } from '../../src/smapi/interface.ts';
import { activateDisk } from '../activation.ts';
import { qcow2Disk } from './disk.ts';
import { qcow2FileDriver } from './driver.ts';

/**
 * Datapath.activate_readonly: locks the image against writers and serves it for reading, to any number of
 * domains and hosts.
 *
 * @throws as Datapath.activate.
 */
export const activateReadonly: Handler<'Datapath.activate_readonly'> = async ({ uri, domain }) => {
  qcow2Disk(uri);
  await activateDisk(qcow2FileDriver, uri, domain, 'read-only');
};
