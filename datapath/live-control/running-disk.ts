import { NumberedError } from '../../src/smapi/errors.ts';
import { type ActivationRecord, isRecorded, withActivationState } from '../activation-state.ts';
import { type Disk, type DiskDriver, diskOf, reconcile } from '../disk.ts';
import { qcow2FileDriver } from '../qcow2+file/driver.ts';
import { type LiveDisk, withLiveDisk } from '../qemu/live-disk.ts';
import type { Overlay } from '../qemu/overlay.ts';
import { settleDisk } from '../qemu/settle-disk.ts';
import { switchToOverlay } from '../qemu/switch-image.ts';
import { isPaused, type WrittenDisk } from '../room/written-disks.ts';
import { type LiveTapdisk, putVhdOverlay, settleTapdisk } from '../tapdisk/live-disk.ts';
import { vhdFileDriver } from '../vhd+file/driver.ts';

/** A disk of this host that can get another image while it runs. */
export interface SwitchableDisk {
  /**
   * Has it write to an image that builds on its own from now on, and lets others read that one.
   *
   * @throws PluginError `SwitchFailed`, `DiskUnresponsive`, `LocksUnknown`; as `commit`.
   */
  readonly switchTo: (overlay: Overlay) => Promise<void>;
}

/** Whether this host may run a disk: a look at its records alone. */
export function mayRunHere(uri: string): boolean {
  const driver = [qcow2FileDriver, vhdFileDriver].find(({ scheme }) => uri.startsWith(`${scheme}:`));
  return driver !== undefined && isRecorded(diskOf(driver.scheme, uri).key);
}

/**
 * Does something with a disk that this host runs read-write, while no other call activates it or lets it go.
 *
 * @param uri of the disk, in qcow2 or vhd.
 * @returns undefined where this host does not run it.
 * @throws NumberedError `SRFull` while the disk, in qcow2, is paused until there is room; PluginError `LockTimeout`,
 * `DiskUnresponsive`; as `switchTo`, for what a call that died has left.
 */
export async function withSwitchableDisk<T>(
  uri: string,
  work: (disk: SwitchableDisk) => Promise<T>,
): Promise<T | undefined> {
  if (uri.startsWith(`${vhdFileDriver.scheme}:`)) {
    return await withRunningTapdisk(uri, (disk) =>
      work({ switchTo: (overlay) => putVhdOverlay(disk, overlay) }),
    );
  }
  return await withRunningDisk(uri, (disk) =>
    work({ switchTo: (overlay) => switchToOverlay(disk, overlay) }),
  );
}

/** The same with a disk in qcow2. */
export async function withRunningDisk<T>(
  uri: string,
  work: (disk: LiveDisk) => Promise<T>,
): Promise<T | undefined> {
  return await withActive(qcow2FileDriver, uri, async (disk, { pid }, record) => {
    if (record.process === undefined) return undefined;
    const live = { key: disk.key, path: disk.path, pid, io: record.process.io, device: record.nbd };
    requireUnpaused({ ...live, minor: undefined });
    await withLiveDisk(live, (qmp) => settleDisk(live, qmp));
    return await work(live);
  });
}

async function withRunningTapdisk<T>(
  uri: string,
  work: (disk: LiveTapdisk) => Promise<T>,
): Promise<T | undefined> {
  return await withActive(vhdFileDriver, uri, async (disk, { pid, minor }) => {
    if (minor === undefined) return undefined;
    const live = { key: disk.key, path: disk.path, pid, minor };
    await settleTapdisk(live);
    return await work(live);
  });
}

/** The same with a disk of one datapath, and what serves it. */
export async function withActive<T, R extends ActivationRecord, Server>(
  driver: DiskDriver<R, Server>,
  uri: string,
  work: (disk: Disk, server: Server, record: R) => Promise<T | undefined>,
): Promise<T | undefined> {
  const disk = diskOf(driver.scheme, uri);
  return await withActivationState(disk.key, disk.path, driver.isRecord, async (state) => {
    const active = await reconcile(driver, disk, state);
    if (active?.record.mode !== 'read-write') return undefined;
    return await work(disk, active.server, active.record);
  });
}

/** A process that is paused for want of room would answer only while its guest writes, too. */
function requireUnpaused(disk: WrittenDisk): void {
  if (!isPaused(disk)) return;
  throw new NumberedError(
    44,
    'SRFull',
    `The running disk of the image ${disk.path} is paused, for its storage is full; make room and repeat the call: destroy snapshots or volumes, grow the SR, or shut the disk's guest down.`,
  );
}
