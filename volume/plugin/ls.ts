import type { Handler } from '../../src/smapi/interface.ts';
import { listAttached } from '../sr/attached.ts';

/** `Plugin.ls`: the handles of the SRs that are attached on this host. */
export const ls: Handler<'Plugin.ls'> = () => listAttached();
