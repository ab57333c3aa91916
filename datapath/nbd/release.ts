import { log } from '../../src/log.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import { lossyTimeout, tolerate } from '../lossy.ts';
import { disconnectNbd, dropNbd, flushNbd, type NbdDevice } from './device.ts';

/** Milliseconds that users of a device have to close it. */
const closeTimeout = 5_000;

/**
 * Disconnects a block device. With `lossy`, whoever still has it open loses it: nothing would end the process, and
 * free the image for other hosts, once they are gone.
 *
 * @throws PluginError `DeviceInUse` without `lossy`.
 */
export async function releaseNbd(device: NbdDevice, lossy: boolean): Promise<void> {
  try {
    await disconnectNbd(device, lossy ? lossyTimeout : closeTimeout);
  } catch (error) {
    if (!lossy || !(error instanceof PluginError && error.name === 'DeviceInUse')) throw error;
    log('warning', `${error.message} It is disconnected all the same.`);
    await tolerate(lossy, async () => flushNbd(device));
    await dropNbd(device, lossyTimeout);
  }
}
