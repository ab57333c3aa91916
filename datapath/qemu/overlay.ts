/** Another image on top of a running disk's. */
import { closeSync } from 'node:fs';
import { faultPoint } from '../../src/fault-point.ts';
import { recordImageHolder } from '../../src/locks/image-holder.ts';
import { openKeptLocks } from '../../src/locks/kept-locks.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import { openLockedImage } from '../image.ts';
import { leafNodes } from './block-nodes.ts';
import { closeImage, leafNodeName, topNode } from './graph.ts';
import { type LiveDisk, shareImage } from './live-disk.ts';
import { type Qmp, QmpRefusal } from './qmp.ts';

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
 * Has a running disk write to an image that builds on its own from now on, and lets others read that one. Nothing that
 * a call that died has left is there.
 *
 * @throws PluginError `SwitchFailed` with QEMU's words, `DiskUnresponsive`, `LocksUnknown`; as `commit`.
 */
export async function putOverlay(disk: LiveDisk, qmp: Qmp, { path, commit, undo }: Overlay): Promise<void> {
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
      await closeImage(qmp, node);
      locks.replace({ generation, images });
      throw toFailure(disk, error);
    }
    faultPoint('live.committed');
    try {
      await qmp.execute('blockdev-snapshot', { node: top, overlay: node });
    } catch (error) {
      if (error instanceof QmpRefusal) {
        await undo();
        await closeImage(qmp, node);
        locks.replace({ generation, images });
      }
      throw toFailure(disk, error);
    }
    faultPoint('live.switched');
    for (const fd of images) await shareImage(fd, disk.path);
    locks.replace({ generation: generation + 1, images: [next, ...images] });
    faultPoint('live.shared');
  } finally {
    closeSync(next);
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
