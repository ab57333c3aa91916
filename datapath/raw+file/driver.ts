import { closeSync } from 'node:fs';
import { faultPoint } from '../../src/fault-point.ts';
import { recordImageHolder } from '../../src/locks/image-holder.ts';
import type { ActivationRecord, ActivationState } from '../activation-state.ts';
import { pointDeviceLink, removeDeviceLink } from '../device-link.ts';
import { type Activation, type Disk, type DiskDriver, forget } from '../disk.ts';
import { flushFile } from '../flush.ts';
import { openLockedImage } from '../image.ts';
import {
  bindingOf,
  bindLoop,
  findBinding,
  type LoopBinding,
  type LoopIdentity,
  unbindLoop,
} from '../loop/binding.ts';
import { loadLoopModule, loopPath } from '../loop/control.ts';
import { lossyTimeout, tolerate } from '../lossy.ts';

/** How long users of a device may take to close it, in milliseconds; with `lossy` the kernel waits for them. */
const unbindTimeout = 5_000;

/** A disk that a loop device serves. */
export interface LoopRecord extends ActivationRecord {
  /** The device's number. */
  readonly loop: number;
}

/** Raw images, served by loop devices. */
export const rawFileDriver: DiskDriver<LoopRecord, LoopBinding> = {
  scheme: 'raw+file',
  isRecord: (record): record is LoopRecord => Number.isSafeInteger((record as Partial<LoopRecord>).loop),
  canPause: false,
  find: (disk, record) =>
    record === undefined ? findBinding(loopIdentity(disk)) : bindingOf(record.loop, loopIdentity(disk)),
  serves: ({ clearing }) => !clearing,
  describe: ({ number }) => `is active as ${loopPath(number)}`,
  start,
  publish: ({ key }, { number }) => pointDeviceLink(key, loopPath(number)),
  async stop(disk, loop, _record, lossy) {
    if (!loop.readOnly) await tolerate(lossy, () => flushFile(loopPath(loop.number), lossy));
    // Before the device is free for others, or the path would lead to someone else's disk.
    removeDeviceLink(disk.key);
    await unbindLoop(loop.number, loopIdentity(disk), lossy ? lossyTimeout : unbindTimeout);
  },
  async cleanUp({ key }) {
    removeDeviceLink(key);
  },
};

/**
 * Locks the image and binds a device to it.
 *
 * A call that dies on the way leaves either no lock at all (the kernel closed the image), or a bound device that
 * the next call finds by the record, and lets go.
 */
async function start({ disk, domain, mode }: Activation, state: ActivationState<LoopRecord>): Promise<void> {
  await loadLoopModule();
  const readOnly = mode === 'read-only';
  const image = await openLockedImage(disk.path, 'raw', readOnly, readOnly || disk.sharable);
  recordImageHolder(image);
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
    if (loop !== undefined) {
      const bound = { number: loop, readOnly, direct: false, clearing: false };
      await rawFileDriver.stop(disk, bound, undefined, true);
    }
    await forget(rawFileDriver, disk, state);
    throw error;
  }
  closeSync(image);
}

/** How the loop device of a disk is known. */
function loopIdentity({ key, path }: Disk): LoopIdentity {
  return { name: `gfs2-sr:${key}`, path };
}
