import type { Handler } from '../../src/smapi/interface.ts';
import { loadProvider } from '../providers/provider.ts';
import { type AttachedSr, findAttached } from './attached.ts';
import { forgetAttached } from './record.ts';

/** An SR that a call which died had brought to this host, before it was recorded as attached. */
async function findHalfAttached(uuid: string): Promise<AttachedSr | undefined> {
  const { findLunUse } = await import('../providers/iscsi/lun-use.ts');
  if (findLunUse(uuid) === undefined) return undefined;
  const { mountPath } = await import('../providers/iscsi/mounts.ts');
  const nameless = { name: '', description: '', configuration: {} };
  return { uuid, provider: 'iscsi', path: mountPath(uuid), ...nameless };
}

/**
 * SR.detach: lets go of an SR on this host. Succeeds where it is not attached.
 *
 * @throws PluginError `VolumeInUse` while a disk of the SR runs here, `LockTimeout`, `SRInUse`,
 * `SRUnavailable`, `UnmountWaits`.
 */
export const detach: Handler<'SR.detach'> = async ({ sr }) => {
  const attached = findAttached(sr) ?? (await findHalfAttached(sr.toLowerCase()));
  if (attached === undefined) return;
  const { stopCollection } = await import('../gc/stop.ts');
  await stopCollection(attached.uuid);
  const provider = await loadProvider(attached.provider);
  await provider.detach(attached);
  forgetAttached(attached.uuid);
};
