/** How the storage below an SR is, told from what the kernel and the cluster know: nothing is touched. */
import { PluginError } from '../../../src/smapi/errors.ts';
import type { Health } from '../../../src/smapi/interface.ts';
import type { PathsHealth } from '../../iscsi/kernel/index.ts';
import type { AttachedSr } from '../../sr/attached.ts';
import type { Space, StorageHealth } from '../provider.ts';
import { findLunUse, type LunUse, noteLunUse } from './lun-use.ts';
import { isWithdrawn, whatItWaitsFor } from './mount.ts';
import { findMount } from './mounts.ts';
import { loadInitiator } from './parts.ts';

/** What is known. */
export interface StorageState {
  readonly mounted: boolean;
  readonly withdrawn: boolean;
  /** What the lock manager waits for, without a full stop. */
  readonly waits: string | undefined;
  readonly paths: PathsHealth;
  /** Since when no path has worked, as an ISO time. */
  readonly unreachableSince: string | undefined;
}

/** Puts a state into xapi's words: it scans only what is Healthy. */
export function judge(state: StorageState): { readonly health: Health; readonly usable: boolean } {
  const { mounted, withdrawn, waits, paths, unreachableSince } = state;
  if (withdrawn) {
    const why = 'the kernel has cut its filesystem off after an error (gfs2 withdraw)';
    return unusable('Unavailable', `This host must be reset to use the SR again: ${why}.`);
  }
  if (!mounted)
    return unusable('Unreachable', 'The SR is not mounted on this host any more; attach it again.');
  const lost = paths.lost.join('; ');
  if (paths.working === 0) {
    const since = unreachableSince === undefined ? '' : ` since ${unreachableSince}`;
    const wait = waits === undefined ? '' : `; besides, ${lowerFirst(waits)}`;
    const what =
      paths.idle === 0
        ? `No path to the LUN works${since}, and I/O waits for one`
        : `The one path to the LUN that this host uses does not work${since}, and I/O waits for it, for multipathd was not there to use the others`;
    return unusable('Unreachable', `${what}: ${lost === '' ? 'the kernel has none' : lost}${wait}.`);
  }
  if (waits !== undefined) return unusable('Recovering', `The SR waits: ${lowerFirst(waits)}.`);
  if (lost === '') return { health: ['Healthy', ''], usable: true };
  return { health: ['Healthy', `Some paths to the LUN do not work: ${lost}.`], usable: true };
}

function unusable(kind: Health[0], sentence: string): { readonly health: Health; readonly usable: false } {
  return { health: [kind, sentence], usable: false };
}

function lowerFirst(text: string): string {
  return /^[A-Z][a-z ]/.test(text) ? text.charAt(0).toLowerCase() + text.slice(1) : text;
}

/** How the storage of an attached SR is. */
export async function storageHealth(sr: AttachedSr): Promise<StorageHealth> {
  const use = findLunUse(sr.uuid);
  const state = await inspect(sr.path, use);
  return { ...judge(state), space: spaceOf(use) };
}

/**
 * Refuses what would wait for a storage or a cluster that does not answer.
 *
 * @throws PluginError `SRUnavailable`.
 */
export async function requireUsable(path: string, use: LunUse, refused: string): Promise<void> {
  const { health, usable } = judge(await inspect(path, use));
  if (usable) return;
  throw new PluginError(
    'SRUnavailable',
    `The SR ${use.uuid} cannot be ${refused} now. ${health[1]}${health[0] === 'Unavailable' ? '' : ' Repeat this once that is over; where it never will be, reset this host.'}`,
  );
}

async function inspect(path: string, use: LunUse | undefined): Promise<StorageState> {
  const mount = findMount(path);
  const mounted = mount?.type === 'gfs2';
  if (use === undefined) {
    const paths = { working: mounted ? 1 : 0, idle: 0, lost: [] };
    return { mounted, withdrawn: false, waits: undefined, paths, unreachableSince: undefined };
  }
  const { pathsHealth } = await loadInitiator();
  const paths = pathsHealth(use.targets, use.scsiId, mounted ? mount.source : undefined);
  const since = paths.working > 0 ? undefined : (use.unreachableSince ?? Date.now());
  if (since !== use.unreachableSince) {
    const { unreachableSince: _, ...rest } = use;
    noteLunUse(since === undefined ? rest : { ...rest, unreachableSince: since });
  }
  return {
    mounted,
    withdrawn: isWithdrawn(use.lockTable) === true,
    waits: mounted ? await whatItWaitsFor(use.lockTable) : undefined,
    paths,
    unreachableSince: since === undefined ? undefined : `${new Date(since).toISOString().slice(0, 19)}Z`,
  };
}

function spaceOf(use: LunUse | undefined): Space {
  return { free: BigInt(use?.space?.free ?? 0), total: BigInt(use?.space?.total ?? 0) };
}
