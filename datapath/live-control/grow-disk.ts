/** Growth of disks that run on this host. A tapdisk lets none of its disks have another size (tapdisk-vbd.c of blktap). */
import { PluginError } from '../../src/smapi/errors.ts';
import { type ActivationRecord, isRecorded } from '../activation-state.ts';
import { type DiskDriver, diskOf } from '../disk.ts';
import { growLoop } from '../loop/binding.ts';
import { qcow2FileDriver } from '../qcow2+file/driver.ts';
import { growDisk } from '../qemu/live-resize.ts';
import { rawFileDriver } from '../raw+file/driver.ts';
import { withActive, withRunningDisk } from './running-disk.ts';

/** A disk of this host that can grow while it runs. */
export interface GrowableDisk {
  /**
   * Grows the image, and what users of the disk see of it; they see no error meanwhile.
   *
   * @param bytes the new size.
   * @param growFile grows the image's file; it is called where what serves the disk does not.
   * @throws PluginError `VolumeInUse` where the users cannot be told, `ResizeFailed`, `NbdFailed`, `LoopFailed`,
   * `DiskUnresponsive`; as `growFile`.
   */
  readonly growTo: (bytes: bigint, growFile: () => Promise<void> | void) => Promise<void>;
}

/**
 * Does something with a disk that this host runs read-write, while no other call activates it or lets it go.
 *
 * @param uri of the disk, in qcow2 or raw.
 * @returns undefined where this host does not run it.
 * @throws as withSwitchableDisk; PluginError `SharableVolume`, as other hosts may run a sharable one too.
 */
export async function withGrowableDisk<T>(
  uri: string,
  work: (disk: GrowableDisk) => Promise<T>,
): Promise<T | undefined> {
  const has = <R extends ActivationRecord, S>({ scheme }: DiskDriver<R, S>): boolean =>
    uri.startsWith(`${scheme}:`) && isRecorded(diskOf(scheme, uri).key);
  if (has(qcow2FileDriver)) {
    return await withRunningDisk(uri, (disk) => work({ growTo: (bytes) => growDisk(disk, Number(bytes)) }));
  }
  if (!has(rawFileDriver)) return undefined;
  return await withActive(rawFileDriver, uri, async ({ path, sharable }, { number }) => {
    if (sharable) throw sharableDisk(path);
    return await work({
      growTo: async (_, growFile) => {
        await growFile();
        growLoop(number);
      },
    });
  });
}

function sharableDisk(path: string): PluginError {
  return new PluginError(
    'SharableVolume',
    `The image ${path} is a sharable disk's, which other hosts may run too, and they would not see another size; shut down or unplug on all hosts what uses it, and repeat the call.`,
  );
}
