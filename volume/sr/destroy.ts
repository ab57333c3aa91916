import type { Handler } from '../../src/smapi/interface.ts';
import { loadProvider } from '../providers/provider.ts';
import { getAttached } from './attached.ts';
import { forgetAttached } from './record.ts';

/**
 * SR.destroy: destroys an attached SR and its volumes, and detaches it. Other files beside it stay. Where
 * it was stopped half-way, a repeat completes it.
 *
 * @throws NamedError `Sr_not_attached`; PluginError `VolumeInUse`, `SRUnreachable`, `LockTimeout`.
 */
export const destroy: Handler<'SR.destroy'> = async ({ sr }) => {
  const attached = getAttached(sr);
  const provider = await loadProvider(attached.provider);
  await provider.destroy(attached);
  forgetAttached(attached.uuid);
};
