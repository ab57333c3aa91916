/** A disk in qcow2 that runs on this host, and goes on running while it gets another image. */
import { closeSync, fstatSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitsFor } from '../../src/deadline.ts';
import { faultPoint } from '../../src/fault-point.ts';
import { tryLock } from '../../src/locks/flock.ts';
import { recordImageHolder } from '../../src/locks/image-holder.ts';
import { log } from '../../src/log.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import { openLockedImage } from '../image.ts';
import { type KeptLocks, openKeptLocks } from '../kept-locks.ts';
import { fileNodeName, type InputOutput, leafNodes } from './block-nodes.ts';
import { generationOf, leafNodeName, listNodes, topNode } from './graph.ts';
import { processPlaces } from './places.ts';
import { type Qmp, QmpRefusal, withQmp } from './qmp.ts';

/** Milliseconds for all that its process is asked; a flush of what the guest wrote is in it. */
const limit = 30_000;
/** Milliseconds for the lock of an image that is not written any more to become a shared one. */
const sharingLimit = 2_000;

/** A disk whose state this call has locked, and its process. */
export interface LiveDisk {
  readonly key: string;
  readonly path: string;
  readonly pid: number;
  readonly io: InputOutput;
}

/** What a running disk gets another image by. */
export interface Overlay {
  /** The new image, which is empty, and whose header says that it builds on the disk's own. */
  readonly path: string;
  /**
   * Makes it the image of the disk's path, and the disk's own one of another path. Called when all is ready; whoever
   * dies after it leaves a disk that still writes to the image that was its own.
   */
  readonly commit: () => Promise<void> | void;
  /** Takes that back, where QEMU refuses the switch. */
  readonly undo: () => Promise<void> | void;
}

/**
 * Has a running disk write to an image that builds on its own from now on, and lets others read that one.
 *
 * @throws PluginError `SwitchFailed` with QEMU's words, `DiskUnresponsive`, `LocksUnknown`; as `commit`.
 */
export async function switchToOverlay(disk: LiveDisk, overlay: Overlay): Promise<void> {
  waitsFor(`the process ${disk.pid} of the image ${disk.path}`, limit + sharingLimit);
  await withQmp(processPlaces(disk.key).qmp, limit, async (qmp) => {
    using locks = openKeptLocks(disk.pid);
    await settle(disk, qmp, locks);
    await putOverlay(disk, qmp, overlay);
  });
}

/**
 * Ends what calls that died have left of a switch.
 *
 * @throws as switchToOverlay.
 */
export async function completeSwitch(disk: LiveDisk): Promise<void> {
  waitsFor(`the process ${disk.pid} of the image ${disk.path}`, limit + sharingLimit);
  await withQmp(processPlaces(disk.key).qmp, limit, async (qmp) => {
    using locks = openKeptLocks(disk.pid);
    await settle(disk, qmp, locks);
  });
}

/** Afterwards the disk's own image is that of its path, and nothing else is open. */
async function settle(disk: LiveDisk, qmp: Qmp, locks: KeptLocks): Promise<void> {
  const generation = generationOf(await topNode(qmp));
  for (const node of await listNodes(qmp)) {
    if (generationOf(node) > generation) await closeOverlay(qmp, node);
  }
  const { next } = locks;
  const isSwitched = generation > locks.generation;
  const images = isSwitched && next !== undefined ? [next, ...locks.images] : locks.images;
  for (const fd of images.slice(1)) await share(fd, disk.path);
  if (isSwitched || next !== undefined) locks.replace({ generation, images });
  const [own] = images;
  if (own === undefined || statSync(disk.path).ino === fstatSync(own).ino) return;
  // The lock of the image that it is to get may still be in what was opened.
  locks[Symbol.dispose]();
  await putOverlay(disk, qmp, { path: disk.path, commit: () => {}, undo: () => {} });
}

async function putOverlay(disk: LiveDisk, qmp: Qmp, { path, commit, undo }: Overlay): Promise<void> {
  using locks = openKeptLocks(disk.pid);
  const { images, generation } = locks;
  const top = await topNode(qmp);
  const node = leafNodeName(generation + 1);
  const next = await openLockedImage(path, 'qcow2', false, false);
  try {
    recordImageHolder(next);
    locks.replace({ generation, images, next });
    faultPoint('live.locked');
    try {
      for (const each of leafNodes(node, path, disk.io, null)) await qmp.execute('blockdev-add', each);
      faultPoint('live.opened');
      await commit();
    } catch (error) {
      await closeOverlay(qmp, node);
      locks.replace({ generation, images });
      throw toFailure(disk, error);
    }
    faultPoint('live.committed');
    try {
      await qmp.execute('blockdev-snapshot', { node: top, overlay: node });
    } catch (error) {
      if (error instanceof QmpRefusal) {
        await undo();
        await closeOverlay(qmp, node);
        locks.replace({ generation, images });
      }
      throw toFailure(disk, error);
    }
    faultPoint('live.switched');
    for (const fd of images) await share(fd, disk.path);
    locks.replace({ generation: generation + 1, images: [next, ...images] });
    faultPoint('live.shared');
  } finally {
    closeSync(next);
  }
}

async function closeOverlay(qmp: Qmp, node: string): Promise<void> {
  for (const name of [node, fileNodeName(node)]) {
    try {
      await qmp.execute('blockdev-del', { 'node-name': name });
    } catch (error) {
      // It was not opened.
      if (!(error instanceof QmpRefusal)) throw error;
    }
  }
}

/** Makes the lock of an image that is not written any more a shared one; of one that is shared nothing changes. */
async function share(fd: number, path: string): Promise<void> {
  const end = performance.now() + sharingLimit;
  // Another host may have taken it for a moment: between the two it is nobody's.
  while (!tryLock(fd, 'shared')) {
    if (performance.now() >= end) {
      log('warning', `an image that the running disk of ${path} builds on is locked by someone else`);
      return;
    }
    await sleep(20);
  }
}

function toFailure({ path }: LiveDisk, error: unknown): unknown {
  if (!(error instanceof QmpRefusal)) return error;
  return new PluginError(
    'SwitchFailed',
    `The running disk of the image ${path} could not be given a new image: ${error.message}.`,
    { cause: error },
  );
}
