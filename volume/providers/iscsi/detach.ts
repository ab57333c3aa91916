/** SR.detach with `provider=iscsi`. */
import { waitsFor } from '../../../src/deadline.ts';
import { PluginError } from '../../../src/smapi/errors.ts';
import { changeCatalog, readCatalog } from '../../catalog/catalog.ts';
import { listVolumes } from '../../catalog/volumes.ts';
import { volumesInUse } from '../../images/in-use.ts';
import type { AttachedSr } from '../../sr/attached.ts';
import { noteSpace } from './attach.ts';
import { attempt, disconnectLun } from './connect.ts';
import { stopAt } from './fault-points.ts';
import { requireUsable } from './health.ts';
import { withLunLock } from './lun-lock.ts';
import { findLunUse, forgetLunUse, type LunUse } from './lun-use.ts';
import { describeThisHost, deviceSize, enter, leave } from './membership.ts';
import { isWithdrawn, unmountSr, whatItWaitsFor } from './mount.ts';
import { findMount, mountPath } from './mounts.ts';
import { loadCluster } from './parts.ts';
import { activeImages, mounterOf } from './users.ts';

/** Milliseconds for unmounting and logging out. */
const limit = 240_000;

/** Unmounts an SR on this host, and lets go of its LUN; may be repeated wherever it died. */
export async function detachSr(sr: AttachedSr): Promise<void> {
  const use = lunOf(sr);
  await withLunLock(use.scsiId, async () => {
    const mount = findMount(sr.path);
    if (mount?.type === 'gfs2') {
      await refuseWhileRunning(sr, 'the SR is detached');
      await requireUsable(sr.path, use, 'detached');
      await depart(sr, mount.source);
    }
    await letGo(use);
  });
}

/** Unmounts, and logs out. */
export async function letGo(use: LunUse): Promise<void> {
  waitsFor(`the SR ${use.uuid} to be unmounted and logged out`, limit);
  const mounter = mounterOf(mountPath(use.uuid));
  if (mounter !== undefined) {
    throw new PluginError(
      'MountWaits',
      `The kernel is still mounting or unmounting the SR ${use.uuid} (process ${mounter}): ${(await whatItWaitsFor(use.lockTable)) ?? 'it does not say what it waits for'}; detach it once that is over, or reset this host.`,
    );
  }
  await unmountSr(use.uuid);
  stopAt('detach.unmounted');
  await disconnectLun(use);
  stopAt('detach.released');
  forgetLunUse(use.uuid);
}

/** The LUN of an attached SR, as far as anything is known of it. */
export function lunOf({ uuid, configuration }: AttachedSr): LunUse {
  const noted = findLunUse(uuid);
  if (noted !== undefined) return noted;
  const scsiId = configuration.ScsiId ?? configuration.SCSIid ?? '';
  const iqns = (configuration.iqns ?? configuration.targetIQN ?? '').split(',').filter((iqn) => iqn !== '');
  return {
    uuid,
    purpose: 'attach',
    scsiId,
    lockTable: '',
    targets: iqns.map((iqn) => ({ iqn, portals: [] })),
  };
}

/**
 * Refuses what cannot be done while disks of the SR run on this host. Their images are not opened: that would
 * disturb other hosts.
 *
 * @throws PluginError `VolumeInUse`.
 */
export async function refuseWhileRunning(sr: AttachedSr, refused: string): Promise<void> {
  const images = activeImages(sr.path);
  if (images.length === 0) return;
  const use = lunOf(sr);
  const blind = isWithdrawn(use.lockTable) === true;
  const running = blind
    ? []
    : await readCatalog(
        sr,
        ({ database }) => listVolumes(database).filter(({ image }) => images.includes(image.uuid)),
        { evenDestroying: true },
      );
  if (running.length > 0) throw volumesInUse(running, refused);
  throw new PluginError(
    'VolumeInUse',
    `Images of the SR are disks of this host (${images.slice(0, 3).join(', ')}); shut down or unplug what uses them (xe vbd-unplug) before ${refused}.`,
  );
}

/**
 * Notes that this host is about to leave, and notes it again where it cannot: a catalog that cannot be written
 * keeps nobody from leaving.
 */
async function depart(sr: AttachedSr, device: string): Promise<void> {
  const { totalSpace, freeSpace } = sizesOf(sr.uuid);
  stopAt('detach.noted');
  await attempt(`the SR ${sr.uuid} was not told that this host leaves`, () =>
    changeCatalog(sr, (catalog) => leave(catalog, device, { totalSpace, freeSpace }), {
      evenDestroying: true,
    }),
  );
  stopAt('detach.unregistered');
  waitsFor(`the SR ${sr.uuid} to be unmounted`, limit);
  try {
    await unmountSr(sr.uuid);
  } catch (error) {
    if ((error as Error).name !== 'SRInUse') throw error;
    await attempt(`the SR ${sr.uuid} was not told that this host stays`, async () => {
      const { requireCluster } = await loadCluster();
      const self = describeThisHost(await requireCluster(), deviceSize(device));
      await changeCatalog(sr, (catalog) => enter(catalog, device, self), { evenDestroying: true });
    });
    // A disk that was started meanwhile.
    await refuseWhileRunning(sr, 'the SR is detached');
    throw error;
  }
}

function sizesOf(uuid: string): { readonly totalSpace: bigint; readonly freeSpace: bigint } {
  const { free, total } = noteSpace(uuid);
  return { totalSpace: total, freeSpace: free };
}
