/** Growing of an SR to the size that its LUN has been given on the array. */
import { statfsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitsFor } from '../../../src/deadline.ts';
import { PluginError } from '../../../src/smapi/errors.ts';
import { changeCatalog } from '../../catalog/catalog.ts';
import { listHosts } from '../../catalog/hosts.ts';
import type { LunSizes } from '../../iscsi/kernel/index.ts';
import { splitLockTable } from '../../layout/gfs2-superblock.ts';
import type { AttachedSr } from '../../sr/attached.ts';
import { noteSpace } from './attach.ts';
import { lunOf } from './detach.ts';
import { stopAt } from './fault-points.ts';
import { requireUsable } from './health.ts';
import { withLunLock } from './lun-lock.ts';
import { copyToLabel, describeThisHost, enter } from './membership.ts';
import { findMount } from './mounts.ts';
import { loadCluster, loadCommands, loadInitiator } from './parts.ts';

/** Milliseconds for all sizes of the LUN on this host to agree. */
const agreementTimeout = 30_000;
/** Milliseconds for gfs2_grow, which writes the headers of all new resource groups. */
const growTimeout = 300_000;

/** What came of it. */
export interface Growth {
  /** Bytes of the LUN. */
  readonly lun: bigint;
  /** Bytes of the filesystem before and after; equal where there was nothing to grow by. */
  readonly before: bigint;
  readonly after: bigint;
}

/**
 * Makes an SR as large as its LUN: once all that this host sees of the LUN agrees, and every host that has
 * the SR attached has seen the same size. A host that has not would write where the others do not look.
 *
 * @throws PluginError `SizesDisagree`, `HostsDisagree`, `SRUnavailable`, `GrowFailed`.
 */
export async function growSr(sr: AttachedSr): Promise<Growth> {
  const use = lunOf(sr);
  return await withLunLock(use.scsiId, async () => {
    await requireUsable(sr.path, use, 'grown');
    const device = findMount(sr.path)?.source ?? '';
    const lun = await agreedSize(
      use.targets.map(({ iqn }) => iqn),
      use.scsiId,
    );
    const { lockspaceMembers, requireCluster } = await loadCluster();
    const cluster = await requireCluster();
    const self = describeThisHost(cluster, lun);
    await changeCatalog(sr, (catalog) => enter(catalog, device, self));
    stopAt('grow.recorded');
    return await changeCatalog(sr, async (catalog) => {
      const members = await lockspaceMembers(splitLockTable(use.lockTable).filesystem);
      const hosts = listHosts(catalog.database);
      const behind = members.filter(({ nodeId }) => {
        const size = nodeId === self.nodeId ? lun : hosts.find((host) => host.nodeId === nodeId)?.lunSize;
        return size !== lun;
      });
      if (behind.length > 0) throw hostsDisagree(sr.uuid, behind, lun);
      waitsFor(`gfs2_grow of the SR ${sr.uuid}`, growTimeout + 30_000);
      const before = totalOf(sr.path);
      await runGrow(sr);
      stopAt('grow.grown');
      const { total: after, free } = noteSpace(sr.uuid);
      await copyToLabel(catalog, device, { totalSpace: after, freeSpace: free });
      stopAt('grow.labelled');
      return { lun, before, after };
    });
  });
}

function hostsDisagree(uuid: string, behind: readonly { readonly name: string }[], lun: bigint): PluginError {
  const names = behind.map(({ name }) => name).join(', ');
  return new PluginError(
    'HostsDisagree',
    `${names} ${behind.length === 1 ? 'has' : 'have'} not seen that the LUN of the SR ${uuid} has ${lun} bytes; run gfs2-sr sr grow ${uuid} there first, and then here again.`,
  );
}

function totalOf(path: string): bigint {
  const { blocks, bsize } = statfsSync(path, { bigint: true });
  return blocks * bsize;
}

async function runGrow(sr: AttachedSr): Promise<void> {
  const { run } = await loadCommands();
  try {
    await run('gfs2_grow', [sr.path], { timeout: growTimeout });
  } catch (error) {
    const { message, stderr = '' } = error as Error & { stderr?: string };
    if (/not grown|has not grown|doesn't need|too small/i.test(stderr)) return;
    throw new PluginError(
      'GrowFailed',
      `The filesystem of the SR ${sr.uuid} did not grow: ${message.replace(/\.$/, '')}; see the kernel's log.`,
      { cause: error },
    );
  }
}

/** Bytes of the LUN, once READ CAPACITY, every path and the map say the same. */
async function agreedSize(iqns: readonly string[], scsiId: string): Promise<bigint> {
  waitsFor(`all paths to the LUN ${scsiId} to show one size`, agreementTimeout + 60_000);
  const { rescan } = await loadInitiator();
  for (const end = performance.now() + agreementTimeout; ; ) {
    const sizes = await rescan(iqns, scsiId);
    const [size, ...others] = new Set(allSizes(sizes));
    if (size !== undefined && others.length === 0) return size;
    if (performance.now() > end) throw sizesDisagree(scsiId, sizes);
    await sleep(1_000);
  }
}

function allSizes({ paths, map }: LunSizes): readonly bigint[] {
  const ofPaths = paths.flatMap(({ reported, seen }) => [reported ?? -1n, seen]);
  return map === undefined ? ofPaths : [...ofPaths, map.seen];
}

function sizesDisagree(scsiId: string, { paths, map }: LunSizes): PluginError {
  const parts = [
    ...paths.map(
      ({ path, reported, seen }) =>
        `${path.device} (portal ${path.session.address}:${path.session.port}) has ${seen} bytes and the LUN answers ${reported ?? 'nothing'} there`,
    ),
    ...(map === undefined ? [] : [`the multipath map ${map.device} has ${map.seen} bytes`]),
  ];
  return new PluginError(
    'SizesDisagree',
    `This host sees more than one size of the LUN ${scsiId}: ${parts.join('; ')}; repair the path that is behind, and grow again.`,
  );
}
