/**
 * Growth of a disk that runs. QEMU lets nothing grow that it serves by NBD, so the disk is not served for a moment: what
 * its users ask for meanwhile waits, and is sent anew on a connection that takes the lost one's place.
 */
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { faultPoint } from '../../src/fault-point.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import { holdRequests, requireChangeable } from '../nbd/change-device.ts';
import { countClients, isConnected } from '../nbd/device.ts';
import { endExport } from './export.ts';
import { topNode } from './graph.ts';
import { type LiveDisk, withLiveDisk } from './live-disk.ts';
import { cancelMerge } from './merge-job.ts';
import { processPlaces } from './places.ts';
import { type Qmp, QmpRefusal } from './qmp.ts';
import { serveAgain } from './serve-again.ts';
import { settleDisk } from './settle-disk.ts';

/** Milliseconds in which requests of before are answered: those that are not are sent anew only after 30 s. */
const drainTime = 200;

/**
 * Grows a disk, and what its users see of it. A merge that its process is at is given up.
 *
 * @param bytes the new size, which is no less than what it has.
 * @throws PluginError `VolumeInUse` where users of the disk cannot be told, `ResizeFailed` with QEMU's words,
 * `NbdFailed`, `DiskUnresponsive`.
 */
export async function growDisk(disk: LiveDisk, bytes: number): Promise<void> {
  await withLiveDisk(disk, async (qmp) => {
    await cancelMerge(qmp);
    await settleDisk(disk, qmp);
    const node = await topNode(qmp);
    if ((await sizeOfNode(qmp, node)) >= bytes) return;
    requireTellable(disk);
    const { device } = disk;
    writeFileSync(processPlaces(disk.key).growing, '', { mode: 0o600 });
    if (device !== undefined && isConnected(device)) {
      holdRequests(device);
      await sleep(drainTime);
    }
    faultPoint('live-resize.held');
    await endExport(qmp);
    faultPoint('live-resize.unserved');
    try {
      await qmp.execute('block_resize', { 'node-name': node, size: bytes });
      faultPoint('live-resize.resized');
    } catch (error) {
      if (!(error instanceof QmpRefusal)) throw error;
      throw new PluginError(
        'ResizeFailed',
        `The running disk of the image ${disk.path} cannot be grown to ${bytes} bytes: ${error.message}; make room on its storage if that is full, and repeat the call.`,
        { cause: error },
      );
    } finally {
      await serveAgain(disk, qmp);
    }
  });
}

/** Refuses a disk of which someone else than the kernel is a client: it would lose it, and never know of its size. */
function requireTellable({ key, path, device }: LiveDisk): void {
  const isDevice = device !== undefined && isConnected(device);
  if (countClients(processPlaces(key).nbd) > Number(isDevice)) {
    throw new PluginError(
      'VolumeInUse',
      `The disk of the image ${path} is in use by a program that is connected to its NBD server, and cannot be told of another size; shut down or unplug what uses the disk, and repeat the call.`,
    );
  }
  if (isDevice) requireChangeable(device, path);
}

async function sizeOfNode(qmp: Qmp, node: string): Promise<number> {
  const nodes = (await qmp.execute('query-named-block-nodes', { flat: false })) as readonly {
    readonly 'node-name': string;
    readonly image: { readonly 'virtual-size': number };
  }[];
  return nodes.find((each) => each['node-name'] === node)?.image['virtual-size'] ?? 0;
}
