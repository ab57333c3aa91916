import { NumberedError } from '../../src/smapi/errors.ts';
import { isRecorded, withActivationState } from '../activation-state.ts';
import { diskOf, reconcile } from '../disk.ts';
import { qcow2FileDriver } from '../qcow2+file/driver.ts';
import { type LiveDisk, withLiveDisk } from '../qemu/live-disk.ts';
import { settleDisk } from '../qemu/settle-disk.ts';
import { isPaused } from '../room/written-disks.ts';

/** Whether this host may run a disk: a look at its records alone. */
export function mayRunHere(uri: string): boolean {
  return uri.startsWith(`${qcow2FileDriver.scheme}:`) && isRecorded(diskOf(qcow2FileDriver.scheme, uri).key);
}

/**
 * Does something with a disk that this host runs read-write, while no other call activates it or lets it go.
 *
 * @param uri of the disk, in qcow2.
 * @returns undefined where this host does not run it.
 * @throws NumberedError `SRFull` while the disk is paused until there is room; PluginError `LockTimeout`, `DiskUnresponsive`; as switchToOverlay, for what a call that died has left.
 */
export async function withRunningDisk<T>(
  uri: string,
  work: (disk: LiveDisk) => Promise<T>,
): Promise<T | undefined> {
  const disk = diskOf(qcow2FileDriver.scheme, uri);
  return await withActivationState(disk.key, disk.path, qcow2FileDriver.isRecord, async (state) => {
    const active = await reconcile(qcow2FileDriver, disk, state);
    if (active?.record.mode !== 'read-write' || active.record.process === undefined) return undefined;
    const live = {
      key: disk.key,
      path: disk.path,
      pid: active.server.pid,
      io: active.record.process.io,
    };
    // Its process would answer only while its guest writes, too, and there is no room for that.
    if (isPaused(live)) throw isFull(disk.path);
    await withLiveDisk(live, (qmp) => settleDisk(live, qmp));
    return await work(live);
  });
}

function isFull(path: string): NumberedError {
  return new NumberedError(
    44,
    'SRFull',
    `The running disk of the image ${path} is paused, for its storage is full; make room and repeat the call: destroy snapshots or volumes, grow the SR, or shut the disk's guest down.`,
  );
}
