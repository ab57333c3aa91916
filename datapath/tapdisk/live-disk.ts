/** A disk in vhd that runs on this host, and goes on running while it gets another image. */
import { closeSync, existsSync, fstatSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { waitsFor } from '../../src/deadline.ts';
import { faultPoint } from '../../src/fault-point.ts';
import { recordImageHolder } from '../../src/locks/image-holder.ts';
import { openKeptLocks } from '../../src/locks/kept-locks.ts';
import { listFolder } from '../../src/proc.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import { openLockedImage } from '../image.ts';
import { shareImage } from '../qemu/live-disk.ts';
import type { Overlay } from '../qemu/overlay.ts';
import { pausedMark } from '../room/written-disks.ts';
import { pauseTapdisk, unpauseTapdisk } from './process.ts';
import { TapCtlError } from './tap-ctl.ts';

/** Milliseconds for a tapdisk to write what it was given, to close its images and to open others. */
const limit = 60_000;

/** A disk in vhd whose state this call has locked, and its tapdisk. */
export interface LiveTapdisk {
  readonly key: string;
  readonly path: string;
  readonly pid: number;
  readonly minor: number;
}

/**
 * Has a running disk write to an image that builds on its own from now on, and lets others read that one. Nothing that
 * a call that died has left is there.
 *
 * @throws PluginError `SwitchFailed` with tap-ctl's words, `LocksUnknown`; as `commit`.
 */
export async function putVhdOverlay(disk: LiveTapdisk, { path, commit, undo }: Overlay): Promise<void> {
  waitsFor(`the process ${disk.pid} of the image ${disk.path}`, limit);
  using locks = openKeptLocks(disk.pid);
  const { images, generation } = locks;
  const next = await openLockedImage(path, 'vhd', false, false);
  try {
    recordImageHolder(next);
    locks.replace({ generation, images, next });
    faultPoint('live.locked');
    try {
      await commit();
    } catch (error) {
      locks.replace({ generation, images });
      throw error;
    }
    faultPoint('live.committed');
    try {
      if (!isHeld(disk, images)) await reopen(disk);
    } catch (error) {
      if (!(error instanceof TapCtlError)) throw error;
      await undo();
      await reopen(disk).catch(() => {});
      locks.replace({ generation, images });
      throw new PluginError(
        'SwitchFailed',
        `The running disk of the image ${disk.path} could not be given a new image: ${error.message}.`,
        { cause: error },
      );
    }
    faultPoint('live.switched');
    for (const fd of images) await shareImage(fd, disk.path);
    locks.replace({ generation: generation + 1, images: [next, ...images] });
    faultPoint('live.shared');
  } finally {
    closeSync(next);
  }
}

/**
 * Ends what calls that died have left: afterwards the disk's own image is that of its path, and its locks are those of
 * its images.
 *
 * @throws as putVhdOverlay.
 */
export async function settleTapdisk(disk: LiveTapdisk): Promise<void> {
  {
    using locks = openKeptLocks(disk.pid);
    const { next, generation } = locks;
    const isSwitched =
      next !== undefined &&
      (hasOpenImage(disk.pid, next) ||
        (isHeld(disk, locks.images) && statSync(disk.path).ino === fstatSync(next).ino));
    const images = isSwitched ? [next, ...locks.images] : locks.images;
    for (const fd of images.slice(1)) await shareImage(fd, disk.path);
    if (next !== undefined) locks.replace({ generation: generation + Number(isSwitched), images });
    const [own] = images;
    if (own === undefined || statSync(disk.path).ino === fstatSync(own).ino) return;
  }
  await putVhdOverlay(disk, { path: disk.path, commit: () => {}, undo: () => {} });
}

/**
 * Has a tapdisk close its images, and open what is at their paths now; its guest's I/O waits meanwhile. Of one that is
 * left paused the watcher of room knows by the mark.
 */
async function reopen(disk: LiveTapdisk): Promise<void> {
  const mark = pausedMark(disk);
  writeFileSync(mark, '', { mode: 0o600 });
  await pauseTapdisk(disk);
  faultPoint('live.paused');
  await unpauseTapdisk(disk, disk.path);
  rmSync(mark, { force: true });
}

/**
 * Whether a disk is paused, as for want of room: it has no image open, and opens what is at its path when it goes on,
 * which is for the watcher of room to say.
 */
function isHeld(disk: LiveTapdisk, [own]: readonly number[]): boolean {
  return existsSync(pausedMark(disk)) && own !== undefined && !hasOpenImage(disk.pid, own);
}

/** Whether a process has an image open beside the descriptors that it keeps unknowingly, which are in no table. */
function hasOpenImage(pid: number, image: number): boolean {
  const { dev, ino } = fstatSync(image);
  return listFolder(`/proc/${pid}/fd`).some((fd) => {
    const found = statSync(`/proc/${pid}/fd/${fd}`, { throwIfNoEntry: false });
    return found?.dev === dev && found.ino === ino;
  });
}
