/** Growth of a disk in vhd that runs: its tapdisk closes the image meanwhile, and the I/O of its users waits. */
import { faultPoint } from '../../src/fault-point.ts';
import { openKeptLocks } from '../../src/locks/kept-locks.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import { growNbd, requireChangeable } from '../nbd/change-device.ts';
import { isConnected } from '../nbd/device.ts';
import type { LiveTapdisk } from './live-disk.ts';
import { reopenImage } from './reopen.ts';
import { TapCtlError } from './tap-ctl.ts';

/**
 * Grows a disk, and what its users see of it.
 *
 * @param bytes the new size.
 * @param growImage grows the image, whose lock it gets.
 * @throws PluginError `VolumeInUse` where users of the disk cannot be told, `ResizeFailed` with tap-ctl's words,
 * `NbdFailed`; as `growImage`.
 */
export async function growTapdisk(
  disk: LiveTapdisk,
  bytes: bigint,
  growImage: (lock: number) => Promise<void>,
): Promise<void> {
  const { device, path } = disk;
  const isDevice = device !== undefined && isConnected(device);
  if (isDevice) requireChangeable(device, path);
  using locks = openKeptLocks(disk.pid);
  const [own] = locks.images;
  if (own === undefined) return;
  try {
    await reopenImage(disk, async () => {
      faultPoint('live-resize.paused');
      await growImage(own);
      faultPoint('live-resize.resized');
    });
  } catch (error) {
    if (!(error instanceof TapCtlError)) throw error;
    throw new PluginError(
      'ResizeFailed',
      `The running disk of the image ${path} cannot be grown: ${error.message}; repeat the call.`,
      { cause: error },
    );
  }
  if (isDevice) growNbd(device, Number(bytes));
}
