/** SR.destroy with `provider=iscsi`. */
import { waitsFor } from '../../../src/deadline.ts';
import { PluginError } from '../../../src/smapi/errors.ts';
import { changeCatalog } from '../../catalog/catalog.ts';
import { splitLockTable } from '../../layout/gfs2-superblock.ts';
import { type AttachedSr, findAttached } from '../../sr/attached.ts';
import { recordAttached } from '../../sr/record.ts';
import { connectedDevice, disconnectLun } from './connect.ts';
import { lunOf, refuseWhileRunning } from './detach.ts';
import { changeLabel, wipeLabel, wipeSuperblock } from './device-label.ts';
import { stopAt } from './fault-points.ts';
import { requireUsable } from './health.ts';
import { withLunLock } from './lun-lock.ts';
import { findLunUse, forgetLunUse, type LunUse, noteLunUse } from './lun-use.ts';
import { copyToLabel } from './membership.ts';
import { unmountSr } from './mount.ts';
import { findMount } from './mounts.ts';
import { loadCluster } from './parts.ts';

/** Milliseconds for unmounting, wiping and logging out. */
const limit = 300_000;

/**
 * Destroys an SR with its volumes. From when its catalog says so it can only go on: a repeat, here or, after
 * SR.attach, on another host, completes it.
 *
 * @throws PluginError `SRInUse`, `VolumeInUse`, `SRUnavailable`.
 */
export async function destroySr(sr: AttachedSr): Promise<void> {
  const use = lunOf(sr);
  await withLunLock(use.scsiId, async () => {
    const mount = findMount(sr.path);
    const vanishing = findAttached(sr.uuid)?.vanishing === true;
    // It died when only the record of it was left.
    if (mount === undefined && vanishing && findLunUse(sr.uuid) === undefined) return;
    if (mount?.type !== 'gfs2' && !vanishing) {
      throw new PluginError(
        'SRUnreachable',
        `The SR ${sr.uuid} is not mounted on this host any more; attach it again before it is destroyed.`,
      );
    }
    if (mount?.type === 'gfs2') {
      await refuseWhileRunning(sr, 'the SR is destroyed');
      await requireUsable(sr.path, use, 'destroyed');
      await refuseOthers(use, 1);
      await mark(sr, mount.source);
      waitsFor(`the SR ${sr.uuid} to be unmounted and wiped`, limit);
      await unmountSr(sr.uuid);
      stopAt('destroy.unmounted');
    }
    waitsFor(`the SR ${sr.uuid} to be wiped`, limit);
    if (use.wiped !== true) await wipe(use);
    noteLunUse({ ...use, wiped: true });
    await disconnectLun(use);
    stopAt('destroy.released');
    forgetLunUse(sr.uuid);
  });
}

async function mark(sr: AttachedSr, device: string): Promise<void> {
  await changeCatalog(
    sr,
    async (catalog) => {
      catalog.database.exec('UPDATE sr SET destroying = 1');
      stopAt('destroy.marked');
      recordAttached({ ...sr, vanishing: true });
      await copyToLabel(catalog, device, { state: 'destroying' });
    },
    { evenDestroying: true },
  );
  stopAt('destroy.labelled');
}

async function wipe(use: LunUse): Promise<void> {
  const device = await connectedDevice(use);
  // Who attached it since, to complete the same.
  await refuseOthers(use, 0);
  let ours = false;
  await changeLabel(device, (label) => {
    ours = label?.uuid === use.uuid;
    return undefined;
  });
  if (!ours) return;
  await wipeSuperblock(device);
  stopAt('destroy.superblock-wiped');
  await wipeLabel(device);
  stopAt('destroy.label-wiped');
}

/** @param own how many of the hosts that have the SR may be this one. */
async function refuseOthers({ uuid, lockTable }: LunUse, own: 0 | 1): Promise<void> {
  const { lockspaceMembers, requireCluster } = await loadCluster();
  const { nodeId } = await requireCluster();
  const members = await lockspaceMembers(splitLockTable(lockTable).filesystem);
  const others = members.filter((member) => own === 0 || member.nodeId !== nodeId);
  if (others.length === 0) return;
  throw new PluginError(
    'SRInUse',
    `The SR ${uuid} is attached on ${others.map(({ name }) => name).join(', ')}; detach it there before it is destroyed.`,
  );
}
