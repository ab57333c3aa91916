/** The block device of a disk that a process serves, as what is recorded of the disk knows it. */
import { faultPoint } from '../../src/fault-point.ts';
import { log } from '../../src/log.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import { pointDeviceLink, removeDeviceLink } from '../device-link.ts';
import { flushFile } from '../flush.ts';
import { lossyTimeout, tolerate } from '../lossy.ts';
import {
  connectNbd,
  disconnectNbd,
  dropNbd,
  isConnected,
  type NbdDevice,
  type NbdServer,
  nbdPath,
} from './device.ts';

/** Milliseconds that users of a device have to close it. */
const closeTimeout = 5_000;

/**
 * Gives a disk a block device.
 *
 * @param note writes what is known of it into the disk's record.
 * @throws as connectNbd.
 */
export async function connectDevice(
  key: string,
  server: NbdServer,
  note: (device: NbdDevice) => void,
): Promise<void> {
  const device = await connectNbd(server, (chosen) => {
    note(chosen);
    faultPoint('activate.chosen');
  });
  faultPoint('activate.connected');
  note(device);
  publishDevice(key, device);
  faultPoint('activate.linked');
}

/** Sees to it that users of an active disk find its block device, if it has one. */
export function publishDevice(key: string, device: NbdDevice | undefined): void {
  if (device !== undefined) pointDeviceLink(key, nbdPath(device));
}

/** Whether a disk's block device, if it has one, is still its own: nobody but us should disconnect it. */
export function hasItsDevice(device: NbdDevice | undefined): boolean {
  return device === undefined || isConnected(device);
}

/**
 * Takes its block device from a disk. With `lossy`, whoever still has it open loses it: nothing would end the disk's
 * process, and free the image for other hosts, once they are gone.
 *
 * @param isWritten whether the disk could be written.
 * @throws PluginError `FlushFailed`, and `DeviceInUse`, without `lossy`.
 */
export async function disconnectDevice(
  key: string,
  device: NbdDevice | undefined,
  isWritten: boolean,
  lossy: boolean,
): Promise<void> {
  const flush = async (): Promise<void> => {
    if (device === undefined || !isWritten || !isConnected(device)) return;
    await tolerate(lossy, () => flushFile(nbdPath(device), lossy));
  };
  await flush();
  // Before the device is free for others, or the path would lead to someone else's disk.
  removeDeviceLink(key);
  if (device === undefined) return;
  try {
    await disconnectNbd(device, lossy ? lossyTimeout : closeTimeout);
  } catch (error) {
    if (!lossy || !(error instanceof PluginError && error.name === 'DeviceInUse')) throw error;
    log('warning', `${error.message} It is disconnected all the same.`);
    await flush();
    await dropNbd(device, lossyTimeout);
  }
}

/** Removes what is left of a disk's block device, when its process is gone. */
export async function removeDevice(key: string, device: NbdDevice | undefined): Promise<void> {
  removeDeviceLink(key);
  if (device !== undefined) await dropNbd(device, lossyTimeout);
}
