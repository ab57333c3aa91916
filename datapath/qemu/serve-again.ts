import { faultPoint } from '../../src/fault-point.ts';
import { areRequestsHeld, reconnectNbd, releaseRequests } from '../nbd/change-device.ts';
import { countClients } from '../nbd/device.ts';
import { diskNode } from './block-nodes.ts';
import { servedNode, serveNode } from './export.ts';
import { topNode } from './graph.ts';
import { type ServedDisk, withLiveDisk } from './live-disk.ts';
import type { Qmp } from './qmp.ts';

/**
 * Serves a disk that is not served, as after a call that died while it made it grow: what its users asked for goes on.
 *
 * @throws PluginError `NbdFailed`.
 */
export async function serveAgain({ device }: ServedDisk, qmp: Qmp): Promise<void> {
  if ((await servedNode(qmp)) === undefined) {
    await serveNode(qmp, await topNode(qmp));
    faultPoint('live-resize.served');
  }
  if (device === undefined || !areRequestsHeld(device)) return;
  if (countClients(device.socket) === 0) {
    await reconnectNbd(device, diskNode);
    faultPoint('live-resize.connected');
  }
  releaseRequests(device);
}

/**
 * The same where a disk's users wait for it. Whoever holds the disk's state, and will not otherwise settle it, calls
 * this.
 *
 * @throws as serveAgain; PluginError `DiskUnresponsive`.
 */
export async function endWait(disk: ServedDisk): Promise<void> {
  if (disk.device === undefined || !areRequestsHeld(disk.device)) return;
  await withLiveDisk(disk, (qmp) => serveAgain(disk, qmp));
}
