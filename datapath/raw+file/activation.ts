import { closeSync } from 'node:fs';
import { faultPoint } from '../../src/fault-point.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import { type ActivationMode, type ActivationState, withActivationState } from '../activation-state.ts';
import { pointDeviceLink } from '../device-link.ts';
import { describeDomain, findRival } from '../domains.ts';
import { openLockedImage } from '../image.ts';
import { bindLoop } from '../loop/binding.ts';
import { loadLoopModule, loopPath } from '../loop/control.ts';
import {
  type ActiveDisk,
  type Disk,
  diskOf,
  findUnrecorded,
  forget,
  letGo,
  loopIdentity,
  reconcile,
} from './disk.ts';

/** Makes a disk active for a domain; what Datapath.activate and activate_readonly have in common. */
export async function activateDisk(uri: string, domain: string, mode: ActivationMode): Promise<void> {
  const disk = diskOf(uri);
  await withActivationState(disk.key, disk.path, async (state) => {
    faultPoint('activate.locked');
    const active = await reconcile(disk, state);
    if (active === undefined) await bind(disk, domain, mode, state);
    else join(disk, domain, mode, state, active);
  });
}

/** Gives one more domain a disk that is active already. */
function join(
  disk: Disk,
  domain: string,
  mode: ActivationMode,
  state: ActivationState,
  active: ActiveDisk,
): void {
  const { record, loop } = active;
  const holder = record.domains[0] ?? domain;
  if (record.mode !== mode || record.sharable !== disk.sharable) {
    const how = `${record.mode}${record.sharable ? ' and sharable' : ''}`;
    throw inUse(disk, `is active ${how} for ${describeDomain(holder)}`);
  }
  const rival = mode === 'read-write' && !disk.sharable ? findRival(record.domains, domain) : undefined;
  if (rival !== undefined) throw inUse(disk, `is active read-write for ${describeDomain(rival)}`);
  pointDeviceLink(disk.key, loopPath(loop.number));
  if (!record.domains.includes(domain)) state.write({ ...record, domains: [...record.domains, domain] });
}

function inUse({ path }: Disk, how: string): PluginError {
  return new PluginError('VolumeInUse', `The image ${path} ${how} on this host; deactivate it there first.`);
}

/**
 * Locks the image and binds a device to it.
 *
 * The record names the device before it is bound, without a domain. So a call that dies on the way leaves
 * either no lock at all (the kernel closed the image), or a bound device that the next call finds and
 * lets go.
 */
async function bind(disk: Disk, domain: string, mode: ActivationMode, state: ActivationState): Promise<void> {
  await loadLoopModule();
  const readOnly = mode === 'read-only';
  const image = await lockImage(disk, readOnly);
  const record = { path: disk.path, mode, sharable: disk.sharable, domains: [] as readonly string[] };
  let loop: number | undefined;
  try {
    faultPoint('activate.image-locked');
    loop = await bindLoop(image, loopIdentity(disk).name, readOnly, (number) => {
      state.write({ ...record, loop: number });
      faultPoint('activate.intended');
    });
    faultPoint('activate.bound');
    pointDeviceLink(disk.key, loopPath(loop));
    faultPoint('activate.linked');
    state.write({ ...record, loop, domains: [domain] });
    faultPoint('activate.recorded');
  } catch (error) {
    closeSync(image);
    if (loop !== undefined)
      await letGo(disk, { number: loop, readOnly, direct: false, clearing: false }, true);
    forget(disk, state);
    throw error;
  }
  closeSync(image);
}

async function lockImage(disk: Disk, readOnly: boolean): Promise<number> {
  const shared = readOnly || disk.sharable;
  try {
    return await openLockedImage(disk.path, readOnly, shared);
  } catch (error) {
    if (!(error instanceof PluginError && error.name === 'VolumeInUse')) throw error;
    const unrecorded = await findUnrecorded(disk);
    if (unrecorded === undefined) throw error;
    if (!unrecorded.clearing) {
      throw inUse(
        disk,
        `is active as ${loopPath(unrecorded.number)}, for a domain of which no record is left,`,
      );
    }
    // A detach left the device to its last user.
    await letGo(disk, unrecorded);
    return await openLockedImage(disk.path, readOnly, shared);
  }
}
