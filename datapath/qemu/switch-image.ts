import { type LiveDisk, withLiveDisk } from './live-disk.ts';
import { cancelMerge } from './merge-job.ts';
import { type Overlay, putOverlay } from './overlay.ts';
import { settleDisk } from './settle-disk.ts';

/**
 * Has a running disk write to an image that builds on its own from now on, and lets others read that one. A merge that
 * its process is at is given up.
 *
 * @throws PluginError `SwitchFailed` with QEMU's words, `DiskUnresponsive`, `LocksUnknown`; as `commit`.
 */
export async function switchToOverlay(disk: LiveDisk, overlay: Overlay): Promise<void> {
  await withLiveDisk(disk, async (qmp) => {
    await cancelMerge(qmp);
    await settleDisk(disk, qmp);
    await putOverlay(disk, qmp, overlay);
  });
}
