/** Bringing a LUN into this host's kernel, and letting go of it. */

import { log } from '../../../src/log.ts';
import { PluginError } from '../../../src/smapi/errors.ts';
import type { KernelTarget, Path, Session } from '../../iscsi/kernel/index.ts';
import { findLunUse, forgetLunUse, type LunUse, noteLunUse } from './lun-use.ts';
import { loadInitiator } from './parts.ts';

/** Milliseconds until the kernel must have found the LUN after login; slow arrays take their time. */
const pathTimeout = 45_000;

/** A LUN that this host's kernel has. */
export interface ConnectedLun {
  readonly paths: readonly Path[];
  /** What to mount: the multipath map, or the one path. */
  readonly device: string;
  /** What did not work on the way, a sentence each. */
  readonly warnings: readonly string[];
  /** Takes back what this call did, and nothing else. */
  undo(): Promise<void>;
}

/**
 * Logs the kernel in to all portals of the LUN's targets, and waits for the LUN; takes it back where that
 * fails.
 *
 * @throws NumberedError 68, 141; PluginError.
 */
export async function connectLun(
  targets: readonly KernelTarget[],
  use: Omit<LunUse, 'targets'>,
  onStep: (step: 'noted' | 'logged-in') => void,
): Promise<ConnectedLun> {
  const { blockDevice, logIn, logOut, release, waitForPaths } = await loadInitiator();
  const before = findLunUse(use.uuid);
  const iqns = targets.map(({ iqn }) => iqn);
  const made: Session[] = [];
  noteLunUse({
    ...before,
    ...use,
    targets: targets.map(({ iqn, portals }) => ({ iqn, portals })),
  });
  onStep('noted');
  const undo = async (): Promise<void> => {
    if (before === undefined) {
      await release(iqns, use.scsiId);
      forgetLunUse(use.uuid);
    } else {
      if (made.length > 0) await logOut(made);
      noteLunUse(before);
    }
  };
  try {
    const logins = await Promise.allSettled(targets.map((target) => logIn(target, use.scsiId)));
    const done = logins.flatMap((login) => (login.status === 'fulfilled' ? [login.value] : []));
    const failed = logins.flatMap((login) => (login.status === 'rejected' ? [login.reason as Error] : []));
    made.push(...done.flatMap((login) => login.made));
    if (done.length === 0) throw failed[0];
    onStep('logged-in');
    const paths = await waitForPaths(iqns, use.scsiId, pathTimeout);
    const device = await blockDevice(use.scsiId, paths);
    const warnings = [
      ...failed.map(({ message }) => message),
      ...done.flatMap(({ failures }) => failures.map(({ sentence }) => sentence)),
    ];
    return { paths, device, warnings, undo };
  } catch (error) {
    await attempt('the LUN was not let go', undo);
    throw error;
  }
}

/** Does what is to be done on the way back from a failure, which is what the caller must hear of. */
export async function attempt(what: string, action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    log('error', `${what}: ${(error as Error).message}`);
  }
}

/** Lets go of a LUN that nothing is mounted from. */
export async function disconnectLun(use: LunUse): Promise<void> {
  const { release } = await loadInitiator();
  await release(
    use.targets.map(({ iqn }) => iqn),
    use.scsiId,
  );
}

/** The device of a LUN that this host's kernel should have still. */
export async function connectedDevice({ scsiId }: LunUse): Promise<string> {
  const { blockDevice, listPaths } = await loadInitiator();
  const paths = listPaths(scsiId);
  if (paths.length === 0) {
    throw new PluginError(
      'SRUnreachable',
      `This host's kernel has no path to the LUN ${scsiId} any more; attach the SR again.`,
    );
  }
  return await blockDevice(scsiId, paths);
}
