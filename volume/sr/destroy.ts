import type { Handler } from '../../src/smapi/interface.ts';
import { isUnreachable } from '../catalog/errors.ts';
import { loadProvider } from '../providers/provider.ts';
import { findAttached, getAttached } from './attached.ts';
import { forgetAttached } from './record.ts';

/**
 * SR.destroy: destroys an attached SR and its volumes, and detaches it. Other files beside it stay. Where
 * it was stopped half-way, a repeat completes it.
 *
 * @throws NamedError `Sr_not_attached`; PluginError `VolumeInUse`, `SRUnreachable`, `LockTimeout`.
 */
export const destroy: Handler<'SR.destroy'> = async ({ sr }) => {
  const attached = getAttached(sr);
  const { stopCollection } = await import('../gc/stop.ts');
  await stopCollection(attached.uuid);
  const provider = await loadProvider(attached.provider);
  try {
    await provider.destroy(attached);
  } catch (error) {
    if (!isUnreachable(error)) throw error;
    // Another call may have destroyed it meanwhile, or be about to end that.
    const now = findAttached(attached.uuid);
    if (now !== undefined && now.vanishing !== true) throw error;
    if (now !== undefined) await provider.destroy(now);
  }
  forgetAttached(attached.uuid);
};
