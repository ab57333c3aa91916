/** Starts the cluster on this host. */
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { PluginError } from '../src/smapi/errors.ts';
import { unitStates } from '../src/systemd/unit-states.ts';
import { setStartsAtBoot, startUnit } from '../src/systemd/units.ts';
import { askCorosync } from './corosync.ts';
import { dlmDaemon, kernelLockspaces } from './dlm.ts';
import { hostFiles } from './host-files.ts';
import { leftoverLockspaces, quorumSentence } from './requirements.ts';
import { forbidStop } from './stop.ts';

/** What a start came to. */
export interface Started {
  /** What this host still waits for, as a sentence; it goes on by itself when that comes. */
  readonly waitsFor?: string;
}

/**
 * Starts corosync, gives it some time to find the others, and starts dlm; both start with the host from now
 * on. What runs already is left alone.
 *
 * Without quorum dlm starts, too: it waits for quorum by itself, and for nothing else once that is there.
 *
 * @param patience milliseconds to wait for quorum.
 * @throws PluginError `ClusterNotSetUp`, `LeftoverLockspace`, or what `startUnit` throws.
 */
export async function startCluster(patience = 15_000): Promise<Started> {
  if (!existsSync(hostFiles.corosyncKey) || !existsSync(hostFiles.corosyncConf)) {
    throw new PluginError('ClusterNotSetUp', 'This host is in no cluster yet; run: gfs2-sr cluster set-up');
  }
  await refuseLeftovers();
  await forbidStop();
  await startUnit('corosync.service');
  const waitsFor = await waitForQuorum(patience);
  await startUnit('dlm.service');
  await setStartsAtBoot(['corosync.service', 'dlm.service'], true);
  return waitsFor === undefined ? {} : { waitsFor };
}

async function refuseLeftovers(): Promise<void> {
  const dlm = (await unitStates(['dlm.service'], 10_000)).get('dlm.service')?.active;
  if (dlm === 'active' || dlm === 'activating' || dlm === 'reloading') return;
  const lockspaces = kernelLockspaces();
  const daemon = dlmDaemon();
  if (lockspaces.length > 0) throw leftoverLockspaces(lockspaces);
  if (daemon !== undefined) {
    throw new PluginError(
      'LeftoverDaemon',
      `A dlm_controld that systemd has given up still runs as process ${daemon.pid}; end it, and try again.`,
    );
  }
}

/** What keeps quorum away when the time is over. */
async function waitForQuorum(patience: number): Promise<string | undefined> {
  const end = performance.now() + patience;
  for (;;) {
    const corosync = await askCorosync();
    if (corosync?.quorate === true) return undefined;
    if (performance.now() >= end) {
      return corosync === undefined
        ? 'Corosync does not answer yet; see journalctl -u corosync.'
        : quorumSentence(corosync);
    }
    await sleep(500);
  }
}
