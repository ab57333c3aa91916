import { existsSync, rmSync } from 'node:fs';
import { faultPoint } from '../../src/fault-point.ts';
import { reconnectNbd, releaseRequests } from '../nbd/change-device.ts';
import { countClients, isConnected } from '../nbd/device.ts';
import { diskNode } from './block-nodes.ts';
import { servedNode, serveNode } from './export.ts';
import { topNode } from './graph.ts';
import { type ServedDisk, withLiveDisk } from './live-disk.ts';
import { processPlaces } from './places.ts';
import type { Qmp } from './qmp.ts';

/**
 * Serves a disk that is not served, as after a call that died while it made it grow: what its users asked for goes on.
 *
 * @throws PluginError `NbdFailed`.
 */
export async function serveAgain({ key, device }: ServedDisk, qmp: Qmp): Promise<void> {
  if ((await servedNode(qmp)) === undefined) {
    await serveNode(qmp, await topNode(qmp));
    faultPoint('live-resize.served');
  }
  if (!isGrowing(key)) return;
  if (device !== undefined && isConnected(device)) {
    if (countClients(device.socket) === 0) await reconnectNbd(device, diskNode);
    faultPoint('live-resize.connected');
    releaseRequests(device);
  }
  rmSync(processPlaces(key).growing, { force: true });
}

/** Whether a call makes a disk grow, or died at that. */
export function isGrowing(key: string): boolean {
  return existsSync(processPlaces(key).growing);
}

/**
 * The same where a disk's users wait for it. Whoever holds the disk's state, and will not otherwise settle it, calls
 * this.
 *
 * @throws as serveAgain; PluginError `DiskUnresponsive`.
 */
export async function endWait(disk: ServedDisk): Promise<void> {
  if (!isGrowing(disk.key)) return;
  await withLiveDisk(disk, (qmp) => serveAgain(disk, qmp));
}
