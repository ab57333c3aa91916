import type { Handler } from '../../src/smapi/interface.ts';
import { loadProvider } from '../providers/provider.ts';
import { findAttached } from './attached.ts';
import { forgetAttached } from './record.ts';

/**
 * SR.detach: lets go of an SR on this host. Succeeds where it is not attached.
 *
 * @throws PluginError `VolumeInUse` while a disk of the SR runs here, `LockTimeout`.
 */
export const detach: Handler<'SR.detach'> = async ({ sr }) => {
  const attached = findAttached(sr);
  if (attached === undefined) return;
  const provider = await loadProvider(attached.provider);
  await provider.detach(attached);
  forgetAttached(attached.uuid);
};
