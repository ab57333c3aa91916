/** SR.attach with `provider=iscsi`. */
import { statfsSync } from 'node:fs';
import type { ClusterStatus } from '../../../cluster/index.ts';
import { waitsFor } from '../../../src/deadline.ts';
import { log } from '../../../src/log.ts';
import { changeCatalog, type SrIdentity } from '../../catalog/catalog.ts';
import { listHosts } from '../../catalog/hosts.ts';
import { identifyDamaged } from '../../catalog/identify.ts';
import { splitLockTable } from '../../layout/gfs2-superblock.ts';
import type { AttachedSr } from '../../sr/attached.ts';
import type { Configuration } from '../provider.ts';
import { type LunConfig, parseLunConfig } from './config.ts';
import { attempt, type ConnectedLun, connectLun, disconnectLun } from './connect.ts';
import { readSrContent } from './device-label.ts';
import { stopAt } from './fault-points.ts';
import { requireUsable } from './health.ts';
import { withLunLock } from './lun-lock.ts';
import { findLunUse, findUsesOf, forgetLunUse, noteLunUse } from './lun-use.ts';
import { describeThisHost, deviceSize, digestsOf, enter, refuseTwin } from './membership.ts';
import { mountSr, unmountSr } from './mount.ts';
import { findMount, mountPath } from './mounts.ts';
import { loadCluster, loadInitiator, loadUserspace } from './parts.ts';
import { type RecognisedSr, recogniseSr } from './recognise.ts';
import { mounterOf } from './users.ts';

/** Milliseconds for everything: more than its parts may take together. */
const limit = 900_000;

/**
 * Mounts an SR on this host, where it may be mounted already. Needs nothing but the host's kernel, its
 * cluster and open-iscsi: it runs at boot, before xapi.
 */
export async function attachSr(configuration: Configuration, uuid: string): Promise<AttachedSr> {
  const config = parseLunConfig(configuration);
  const attached = ({ name, description }: SrIdentity): AttachedSr => ({
    ...{ uuid, provider: 'iscsi', path: mountPath(uuid) },
    ...{ configuration, name, description },
  });
  const patient = (): void => waitsFor(`the LUN ${config.scsiId} and its cluster`, limit);
  patient();
  return await withLunLock(config.scsiId, async () => {
    const { requireCluster } = await loadCluster();
    if (findMount(mountPath(uuid))?.type === 'gfs2') {
      const identity = await confirm(config, uuid);
      patient();
      await attempt(`the missing paths of the SR ${uuid} were not logged in to`, () =>
        reconnect(config, uuid),
      );
      return attached(identity);
    }
    return attached(await attachAnew(config, uuid, await requireCluster(), patient));
  });
}

/** Makes sure that what is mounted already is the SR, and that this host is noted. */
async function confirm(config: LunConfig, uuid: string): Promise<SrIdentity> {
  const path = mountPath(uuid);
  const device = findMount(path)?.source ?? '';
  const { requireCluster } = await loadCluster();
  const use = findLunUse(uuid);
  if (use !== undefined) await requireUsable(path, use, 'attached');
  const cluster = await requireCluster();
  const content = await readSrContent(device);
  const { lockTable } = recogniseSr(content, { uuid, scsiId: config.scsiId, cluster: cluster.name }, device);
  if (use === undefined) {
    const targets = config.iqns.map((iqn) => ({ iqn, portals: [] }));
    noteLunUse({ uuid, purpose: 'attach', scsiId: config.scsiId, lockTable, targets });
  }
  return await register(uuid, device, cluster, lockTable);
}

/** Logs in to portals that were not there when the SR was attached. */
async function reconnect(config: LunConfig, uuid: string): Promise<void> {
  const { lookAtLun } = await loadUserspace();
  const { logIn } = await loadInitiator();
  const { targets } = await lookAtLun(config);
  const use = findLunUse(uuid);
  if (use !== undefined) {
    noteLunUse({ ...use, targets: targets.map(({ iqn, portals }) => ({ iqn, portals })) });
  }
  await Promise.all(targets.map((target) => logIn(target, config.scsiId)));
}

async function attachAnew(
  config: LunConfig,
  uuid: string,
  cluster: ClusterStatus,
  patient: () => void,
): Promise<SrIdentity> {
  const expected = { uuid, scsiId: config.scsiId, cluster: cluster.name };
  await letGoOfTheDead(config.scsiId, uuid);
  const { lookAtLun } = await loadUserspace();
  const seen = await lookAtLun(config);
  const recognised = recogniseSr(seen.content, expected, `over ${seen.lun.target}`);
  await refuseTwins(recognised, cluster);
  const { lockTable } = recognised;
  const use = { uuid, purpose: 'attach', scsiId: config.scsiId, lockTable } as const;
  const connected = await connectLun(seen.targets, use, stopAtLogin);
  const { device, paths, warnings } = connected;
  for (const warning of [...seen.warnings, ...warnings]) log('warning', warning);
  try {
    // Each path by itself: a path that leads to another LUN would scatter the filesystem over both.
    for (const { device: path } of paths) recogniseSr(await readSrContent(path), expected, path);
    stopAt('attach.checked');
    await mountSr(device, uuid, lockTable);
    stopAt('attach.mounted');
    const identity = await register(uuid, device, cluster, lockTable);
    stopAt('attach.registered');
    patient();
    return identity;
  } catch (error) {
    patient();
    await takeBack(uuid, connected);
    throw error;
  }
}

async function takeBack(uuid: string, connected: ConnectedLun): Promise<void> {
  // A mount that the kernel still holds needs its LUN; SR.detach ends that when it is over.
  if (mounterOf(mountPath(uuid)) !== undefined) return;
  await attempt(`the SR ${uuid} was not let go`, async () => {
    await unmountSr(uuid);
    await connected.undo();
  });
}

function stopAtLogin(step: 'noted' | 'logged-in'): void {
  stopAt(`attach.${step}`);
}

/** What a SR.create for another SR on this LUN left on this host when it died. */
async function letGoOfTheDead(scsiId: string, uuid: string): Promise<void> {
  for (const use of findUsesOf(scsiId)) {
    if (use.uuid === uuid || use.purpose !== 'create') continue;
    await unmountSr(use.uuid);
    await disconnectLun(use);
    forgetLunUse(use.uuid);
  }
}

/** Before the kernel logs in, for that would throw the twin's session out. */
async function refuseTwins({ label, lockTable }: RecognisedSr, cluster: ClusterStatus): Promise<void> {
  const others = label.hosts ?? {};
  if (Object.keys(others).length === 0) return;
  const { lockspaceMembers } = await loadCluster();
  const members = await lockspaceMembers(splitLockTable(lockTable).filesystem);
  refuseTwin(others, members, describeThisHost(cluster, 0n));
}

/** Notes this host in the SR, and what the SR's sizes are on this host. */
async function register(
  uuid: string,
  device: string,
  cluster: ClusterStatus,
  lockTable: string,
): Promise<SrIdentity> {
  const { lockspaceMembers } = await loadCluster();
  const members = await lockspaceMembers(splitLockTable(lockTable).filesystem);
  const self = describeThisHost(cluster, deviceSize(device));
  const path = mountPath(uuid);
  const identity = await identifyDamaged({ path, uuid }, () =>
    changeCatalog(
      { path, uuid },
      async (catalog) => {
        refuseTwin(digestsOf(listHosts(catalog.database)), members, self);
        await enter(catalog, device, self);
        return catalog.identity;
      },
      { evenDestroying: true },
    ),
  );
  noteSpace(uuid);
  return identity;
}

/** Keeps the sizes of an SR's filesystem for when it cannot be asked. */
export function noteSpace(uuid: string): { readonly free: bigint; readonly total: bigint } {
  const { bavail, blocks, bsize } = statfsSync(mountPath(uuid), { bigint: true });
  const space = { free: bavail * bsize, total: blocks * bsize };
  const use = findLunUse(uuid);
  const text = { free: space.free.toString(), total: space.total.toString() };
  if (use !== undefined && (use.space?.free !== text.free || use.space.total !== text.total)) {
    noteLunUse({ ...use, space: text });
  }
  return space;
}
