/** Stops the cluster on this host, never under a filesystem that needs it. */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { writeFileAtomically } from '../src/atomic-file.ts';
import { PluginError } from '../src/smapi/errors.ts';
import { reloadUnits, setStartsAtBoot, stopUnit } from '../src/systemd/units.ts';
import { dlmDaemon, kernelLockspaces } from './dlm.ts';
import { clusterFilesystems } from './filesystems.ts';
import { hostFiles } from './host-files.ts';
import { allowStop } from './unit-files.ts';

const units = ['dlm.service', 'corosync.service'] as const;
const permits = units.map((unit) => {
  const { path, content } = allowStop(unit);
  return { path: `${hostFiles.systemdOfThisBoot}/${path}`, content };
});

/**
 * Stops dlm and then corosync; neither starts with the host any more, until the cluster is started again.
 * What does not run is left alone.
 *
 * @throws PluginError `ClusterInUse` while a gfs2 is mounted here or a lockspace exists, or what `stopUnit`
 *   throws.
 */
export async function stopCluster(): Promise<void> {
  refuseWhileInUse();
  await permitStop();
  try {
    // Whatever mounted meanwhile keeps dlm_controld alive, which ignores to be ended under a lockspace.
    refuseWhileInUse();
    await stopUnit('dlm.service');
    const daemon = dlmDaemon();
    if (daemon !== undefined) {
      throw new PluginError(
        'DlmNotStopped',
        `dlm_controld still runs as process ${daemon.pid}, so corosync was left running; see journalctl -u dlm.`,
      );
    }
    refuseWhileInUse();
    await stopUnit('corosync.service');
  } finally {
    await forbidStop();
  }
  await setStartsAtBoot(units, false);
}

/** Takes back what a stop permitted, also one that died on the way. */
export async function forbidStop(): Promise<void> {
  const left = permits.filter(({ path }) => existsSync(path));
  for (const { path } of left) rmSync(path, { force: true });
  if (left.length > 0) await reloadUnits();
}

async function permitStop(): Promise<void> {
  for (const { path, content } of permits) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileAtomically(path, content, 0o644);
  }
  await reloadUnits();
}

function refuseWhileInUse(): void {
  const filesystems = clusterFilesystems();
  const lockspaces = kernelLockspaces();
  if (filesystems.length > 0) {
    const where = filesystems.map(({ lockTable, mountPoints }) =>
      mountPoints.length > 0 ? mountPoints.join(' and ') : `somewhere, with the lock table ${lockTable}`,
    );
    throw new PluginError(
      'ClusterInUse',
      `A gfs2 is mounted at ${where.join(', ')}; detach its SR first, for nothing can unmount it without the cluster.`,
    );
  }
  if (lockspaces.length > 0) {
    throw new PluginError(
      'ClusterInUse',
      `dlm has the lockspace ${lockspaces.join(', ')} on this host; end what uses it first.`,
    );
  }
}
