import { log } from '../../src/log.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import { type ActivationRecord, type ActivationState, imageKey } from '../activation-state.ts';
import { removeDeviceLink } from '../device-link.ts';
import { type FileUri, parseFileUri } from '../file-uri.ts';
import {
  bindingOf,
  findBinding,
  flushLoop,
  type LoopBinding,
  type LoopIdentity,
  unbindLoop,
} from '../loop/binding.ts';

/** How long users of a device may take to close it, in milliseconds; with `lossy` the kernel waits for them. */
const unbindTimeout = 5_000;
const lossyUnbindTimeout = 1_000;

/** A disk: an image that a URI names. */
export interface Disk extends FileUri {
  readonly key: string;
}

/** A disk that is active on this host, as the kernel and the record agree. */
export interface ActiveDisk {
  readonly record: ActivationRecord;
  readonly loop: LoopBinding;
}

/** @throws PluginError `BadUri`. */
export function diskOf(uri: string): Disk {
  const named = parseFileUri(uri, 'raw+file');
  return { ...named, key: imageKey(named.path) };
}

/** How the loop device of a disk is known. */
export function loopIdentity({ key, path }: Disk): LoopIdentity {
  return { name: `gfs2-sr:${key}`, path };
}

/**
 * Finds out how a disk is, and finishes what a call that died had begun: a record without a device is
 * dropped, and a device that is bound for nobody is let go.
 *
 * @param lossy as for `letGo`.
 * @returns undefined when the disk is not active.
 * @throws PluginError `DeviceInUse`, `FlushFailed`.
 */
export async function reconcile(
  disk: Disk,
  state: ActivationState,
  lossy = false,
): Promise<ActiveDisk | undefined> {
  const record = state.read();
  if (record === undefined) return undefined;
  const loop = await bindingOf(record.loop, loopIdentity(disk));
  if (loop !== undefined && !loop.clearing && record.domains.length > 0) return { record, loop };
  if (loop !== undefined) await letGo(disk, loop, lossy);
  forget(disk, state);
  return undefined;
}

/** Finds a device of the disk that no record leads to: records are lost when someone empties /run. */
export async function findUnrecorded(disk: Disk): Promise<LoopBinding | undefined> {
  return findBinding(loopIdentity(disk));
}

/**
 * Flushes a disk's device and unbinds it, and so gives up the lock.
 *
 * @param lossy for detach: go on after a failed flush, with a line in the log, and wait less.
 * @throws PluginError `DeviceInUse`, `FlushFailed`.
 */
export async function letGo(disk: Disk, loop: LoopBinding, lossy = false): Promise<void> {
  if (!loop.readOnly) {
    try {
      flushLoop(loop.number);
    } catch (error) {
      if (!lossy || !(error instanceof PluginError)) throw error;
      log('error', error.message);
    }
  }
  // Before the device is free for others, or the path would lead to someone else's disk.
  removeDeviceLink(disk.key);
  await unbindLoop(loop.number, loopIdentity(disk), lossy ? lossyUnbindTimeout : unbindTimeout);
}

/** Drops the record and the link of a disk whose device is gone. */
export function forget(disk: Disk, state: ActivationState): void {
  removeDeviceLink(disk.key);
  state.remove();
}
