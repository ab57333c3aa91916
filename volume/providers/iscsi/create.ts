/** SR.create with `provider=iscsi`. */
import { statfsSync } from 'node:fs';
import { waitsFor } from '../../../src/deadline.ts';
import { log } from '../../../src/log.ts';
import { PluginError } from '../../../src/smapi/errors.ts';
import type { NewSr } from '../../catalog/catalog.ts';
import { extendDeviceConfig } from '../../device-config.ts';
import { filesystemName, splitLockTable, unfinishedFilesystem } from '../../layout/gfs2-superblock.ts';
import { labelOffset } from '../../layout/label.ts';
import { makeSr } from '../../layout/make.ts';
import type { Configuration } from '../provider.ts';
import { admit } from './admission.ts';
import { awaitDeath, type Claim, claimLun } from './claim.ts';
import { type LunConfig, parseLunConfig } from './config.ts';
import { attempt, type ConnectedLun, connectLun, disconnectLun } from './connect.ts';
import { isHeld } from './device-io.ts';
import { changeLabel, readSrContent, renameLockTable } from './device-label.ts';
import { stopAt } from './fault-points.ts';
import { withLunLock } from './lun-lock.ts';
import { findUsesOf, forgetLunUse } from './lun-use.ts';
import { clearTraces, discard, makeFilesystem } from './mkfs.ts';
import { mountSr, unmountSr } from './mount.ts';
import { findMount, mountPath } from './mounts.ts';
import { loadCluster, loadInitiator, loadUserspace } from './parts.ts';
import type { SeenLun } from './userspace.ts';

/** Milliseconds for everything: more than its parts may take together. */
const limit = 1_800_000;

/**
 * Makes an SR on a LUN; the label, written last, is what makes it one. A call that fails takes all back.
 *
 * @returns the device-config that attaches it.
 */
export async function createSr(configuration: Configuration, identity: NewSr): Promise<Configuration> {
  const config = parseLunConfig(configuration);
  waitsFor(`the LUN ${config.scsiId} and its cluster`, limit);
  const { requireCluster } = await loadCluster();
  const cluster = await requireCluster();
  return await withLunLock(config.scsiId, async () => {
    await letGoOfTheDead(config.scsiId);
    const { lookAtLun } = await loadUserspace();
    const seen = await lookAtLun(config);
    // `force` is a consent for once: a PBD must not keep it.
    const { force, ...rest } = configuration;
    const admission = admit({
      uuid: identity.uuid,
      scsiId: config.scsiId,
      cluster: cluster.name,
      force: force === 'true',
      content: seen.content,
      ...(seen.obstacle === undefined ? {} : { obstacle: seen.obstacle }),
      mountedOn: await hostsThatHave(seen, cluster.name),
    });
    if (admission !== 'there') {
      await refuseIfUsedHere(config.scsiId);
      await make(config, seen, cluster.name, identity, admission === 'take-over');
    }
    return extendDeviceConfig(rest, { iqns: seen.targets.map(({ iqn }) => iqn).join(',') });
  });
}

async function hostsThatHave({ content }: SeenLun, cluster: string): Promise<readonly string[]> {
  if (content.kind === 'blank' || content.superblock === undefined) return [];
  const table = splitLockTable(content.superblock.lockTable);
  if (table.cluster !== cluster || table.filesystem === '') return [];
  const { lockspaceMembers } = await loadCluster();
  return (await lockspaceMembers(table.filesystem)).map(({ name }) => name);
}

/** What a SR.create on this host left that died: we have the lock that it had. */
async function letGoOfTheDead(scsiId: string): Promise<void> {
  for (const use of findUsesOf(scsiId)) {
    if (use.purpose !== 'create') continue;
    await unmountSr(use.uuid);
    await disconnectLun(use);
    forgetLunUse(use.uuid);
  }
}

async function refuseIfUsedHere(scsiId: string): Promise<void> {
  const { blockDevice, listPaths } = await loadInitiator();
  const paths = listPaths(scsiId);
  if (paths.length === 0) return;
  const device = await blockDevice(scsiId, paths);
  if (await isHeld(device)) {
    throw new PluginError(
      'LunInUse',
      `No SR can be made on the LUN ${scsiId}: this host has mounted ${device} or built something on it; end that first.`,
    );
  }
}

async function make(
  config: LunConfig,
  seen: SeenLun,
  cluster: string,
  identity: NewSr,
  takesOver: boolean,
): Promise<void> {
  const { uuid } = identity;
  const place = { config, seen };
  const label = {
    ...identity,
    clusterName: cluster,
    scsiId: config.scsiId,
    totalSpace: seen.size,
    freeSpace: 0n,
  };
  if (takesOver && seen.content.kind === 'unfinished') await awaitDeath(place, seen.content.label?.claim);
  const claim = await claimLun(place, label);
  let connected: ConnectedLun | undefined;
  let cleared = takesOver;
  try {
    stopAt('create.claimed');
    const lockTable = `${cluster}:${filesystemName(uuid)}`;
    const use = { uuid, purpose: 'create', scsiId: config.scsiId, lockTable } as const;
    connected = await connectLun(seen.targets, use, (step) => stopAt(`create.${step}`));
    const { device, paths } = connected;
    await checkClaim(
      paths.map((path) => path.device),
      claim,
    );
    stopAt('create.checked');
    cleared = true;
    await clearTraces(device, seen.size, labelOffset);
    await discard(device);
    stopAt('create.cleared');
    await checkClaim([device], claim);
    await makeFilesystem(device, { lockTable: `${cluster}:${unfinishedFilesystem}`, uuid, size: seen.size });
    stopAt('create.formatted');
    // The claim goes where mkfs.gfs2 has cleared it, and only then the filesystem gets its name: until then
    // its name says that it is unfinished.
    await changeLabel(device, (found) => {
      if (found !== undefined) claim.check(found);
      return claim.label;
    });
    stopAt('create.reclaimed');
    await renameLockTable(device, lockTable);
    stopAt('create.named');
    const path = await mountSr(device, uuid, lockTable);
    stopAt('create.mounted');
    await makeSr(path, identity);
    const { bavail, blocks, bsize } = statfsSync(path, { bigint: true });
    stopAt('create.made');
    await unmountSr(uuid);
    stopAt('create.unmounted');
    await claim.stop();
    await changeLabel(device, (found) => {
      claim.check(found);
      return { ...label, totalSpace: blocks * bsize, freeSpace: bavail * bsize };
    });
  } catch (error) {
    await attempt(`the LUN ${config.scsiId} was not let go`, async () => {
      if (findMount(mountPath(uuid)) !== undefined) await unmountSr(uuid);
      await connected?.undo();
    });
    await attempt(`the claim on the LUN ${config.scsiId} was not taken back`, () => claim.withdraw(cleared));
    throw error;
  }
  stopAt('create.committed');
  // There is an SR now, whatever happens here.
  await attempt(`the LUN ${config.scsiId} was not let go`, async () => await connected?.undo());
  stopAt('create.released');
  for (const warning of seen.warnings) log('warning', warning);
}

async function checkClaim(devices: readonly string[], claim: Claim): Promise<void> {
  for (const device of devices) {
    const content = await readSrContent(device);
    claim.check(content.kind === 'unfinished' ? content.label : undefined);
  }
}
