import { faultPoint } from '../../src/fault-point.ts';
import { type ActivationState, withActivationState } from '../activation-state.ts';
import { withoutDomain } from '../domains.ts';
import { type Disk, diskOf, findUnrecorded, forget, letGo, reconcile } from './disk.ts';

/**
 * Takes a disk from a domain; the last one lets go of the device and the lock.
 *
 * A disk that is not active, or not for this domain, is left as it is.
 *
 * @param lossy as for `letGo`.
 * @throws PluginError `DeviceInUse`, `FlushFailed`.
 */
export async function releaseDisk(uri: string, domain: string, lossy = false): Promise<void> {
  const disk = diskOf(uri);
  await withActivationState(disk.key, disk.path, (state) => release(disk, domain, state, lossy));
}

async function release(disk: Disk, domain: string, state: ActivationState, lossy: boolean): Promise<void> {
  const recorded = state.read() !== undefined;
  const active = await reconcile(disk, state, lossy);
  if (active === undefined) {
    const unrecorded = recorded ? undefined : await findUnrecorded(disk);
    if (unrecorded !== undefined) await letGo(disk, unrecorded, lossy);
    forget(disk, state);
    return;
  }
  const domains = withoutDomain(active.record.domains, domain);
  if (domains.length === active.record.domains.length) return;
  if (domains.length === 0) {
    await letGo(disk, active.loop, lossy);
    faultPoint('deactivate.unbound');
    forget(disk, state);
  } else {
    state.write({ ...active.record, domains });
  }
}
