import type { Handler } from '../../src/smapi/interface.ts';
import { activateDisk } from '../activation.ts';
import { rawBlockDriver } from './driver.ts';

/**
 * Datapath.activate_readonly: lets domains read the device. Nothing keeps them from writing but what plugs it in.
 *
 * @throws as Datapath.activate.
 */
export const activateReadonly: Handler<'Datapath.activate_readonly'> = ({ uri, domain }) =>
  activateDisk(rawBlockDriver, uri, domain, 'read-only');
