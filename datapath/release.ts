import { faultPoint } from '../src/fault-point.ts';
import { log } from '../src/log.ts';
import { PluginError } from '../src/smapi/errors.ts';
import { type ActivationRecord, type ActivationState, withActivationState } from './activation-state.ts';
import { type Disk, type DiskDriver, diskOf, forget, reconcile } from './disk.ts';
import { withoutDomain } from './domains.ts';

/**
 * Takes a disk from a domain; the last one ends its server, and so the locks.
 *
 * A disk that is not active, or not for this domain, is left as it is.
 *
 * @param lossy as for DiskDriver.
 * @throws PluginError `DeviceInUse`, `FlushFailed`.
 */
export async function releaseDisk<R extends ActivationRecord, Server>(
  driver: DiskDriver<R, Server>,
  uri: string,
  domain: string,
  lossy = false,
): Promise<void> {
  const disk = diskOf(driver.scheme, uri);
  await withActivationState(disk.key, disk.path, driver.isRecord, (state) =>
    release(driver, disk, domain, state, lossy),
  );
}

/** Releases a disk, and never fails for what stands in the way: who keeps it open lets go of it when they end. */
export async function detachDisk<R extends ActivationRecord, Server>(
  driver: DiskDriver<R, Server>,
  uri: string,
  domain: string,
): Promise<void> {
  try {
    await releaseDisk(driver, uri, domain, true);
  } catch (error) {
    if (!(error instanceof PluginError && error.name === 'DeviceInUse')) throw error;
    log('warning', error.message);
  }
}

async function release<R extends ActivationRecord, Server>(
  driver: DiskDriver<R, Server>,
  disk: Disk,
  domain: string,
  state: ActivationState<R>,
  lossy: boolean,
): Promise<void> {
  const recorded = state.read() !== undefined;
  const active = await reconcile(driver, disk, state, lossy);
  if (active === undefined) {
    const unrecorded = recorded ? undefined : await driver.find(disk, undefined);
    if (unrecorded !== undefined) await driver.stop(disk, unrecorded, undefined, lossy);
    await forget(driver, disk, state);
    return;
  }
  const { record, server } = active;
  const domains = withoutDomain(record.domains, domain);
  if (domains.length === record.domains.length) return;
  if (domains.length === 0) {
    await driver.stop(disk, server, record, lossy);
    faultPoint('deactivate.unbound');
    await forget(driver, disk, state);
  } else {
    state.write({ ...record, domains });
  }
}
