/** Mounting and unmounting the filesystem of an SR; both can wait in the kernel for other hosts. */
import { existsSync, mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { hostPaths } from '../../../src/host-paths.ts';
import { PluginError } from '../../../src/smapi/errors.ts';
import { splitLockTable } from '../../layout/gfs2-superblock.ts';
import { findMount, mountPath } from './mounts.ts';
import { loadCluster, loadCommands } from './parts.ts';
import { mounterOf, processesIn } from './users.ts';

/**
 * Milliseconds. A mount waits until hosts that were lost are fenced and their journals replayed: 34 s were
 * measured where one was absent when dlm started.
 */
const mountTimeout = 240_000;
/** Unmounting waits for all that is dirty to be on the storage. */
const unmountTimeout = 90_000;

/**
 * Access times would write to the storage for every read, and another host's reads would wait for that.
 * `_netdev`: where units for mounts are made of it, the network ends after it.
 */
const options = 'noatime,nodiratime,_netdev';

/**
 * Mounts an SR's filesystem. A mount of it that an earlier call began, and that the kernel still holds, is
 * waited for.
 *
 * @returns the path.
 * @throws PluginError `MountFailed`, `MountWaits`.
 */
export async function mountSr(device: string, uuid: string, lockTable: string): Promise<string> {
  const path = mountPath(uuid);
  makeMountPoint(path);
  const end = performance.now() + mountTimeout;
  while (mounterOf(path) !== undefined) {
    if (performance.now() > end) throw await waiting(uuid, lockTable, mounterOf(path));
    await sleep(500);
  }
  if (findMount(path)?.type === 'gfs2') return path;
  const { run } = await loadCommands();
  try {
    await run('mount', ['-t', 'gfs2', '-o', options, device, path], { timeout: end - performance.now() });
  } catch (error) {
    const { stuck, timedOut, message } = error as { stuck?: number; timedOut?: boolean; message: string };
    if (timedOut === true) throw await waiting(uuid, lockTable, stuck);
    throw new PluginError(
      'MountFailed',
      `The filesystem of the SR ${uuid} cannot be mounted: ${message}; the kernel's log says why (dmesg).`,
      { cause: error },
    );
  }
  return path;
}

async function waiting(uuid: string, lockTable: string, stuck: number | undefined): Promise<PluginError> {
  const why = await whatItWaitsFor(lockTable);
  const left =
    stuck === undefined
      ? 'nothing of the mount is left'
      : `the kernel holds its process ${stuck}, which ends when that is over; then attach the SR again`;
  return new PluginError(
    'MountWaits',
    `The SR ${uuid} could not be mounted within ${mountTimeout / 1000} s: ${why ?? 'its lock manager does not say what it waits for; see dlm_tool ls'}; ${left}.`,
  );
}

/** What a filesystem's lockspace waits for, as a sentence without a full stop. */
export async function whatItWaitsFor(lockTable: string): Promise<string | undefined> {
  const { lockspaceWait } = await loadCluster();
  try {
    const sentence = await lockspaceWait(splitLockTable(lockTable).filesystem);
    return sentence?.replace(/\.$/, '');
  } catch (error) {
    return (error as Error).message.replace(/\.$/, '');
  }
}

/**
 * Unmounts an SR's filesystem; nothing is to do where it is not mounted.
 *
 * @throws PluginError `SRInUse` naming who has something open, `UnmountWaits`.
 */
export async function unmountSr(uuid: string): Promise<void> {
  const path = mountPath(uuid);
  if (findMount(path) !== undefined) {
    const { run } = await loadCommands();
    try {
      await run('umount', [path], { timeout: unmountTimeout });
    } catch (error) {
      if (findMount(path) !== undefined) throw unmountFailed(uuid, path, error as Error);
    }
  }
  if (existsSync(path) && findMount(path) === undefined) rmdirSync(path);
}

function unmountFailed(
  uuid: string,
  path: string,
  error: Error & { timedOut?: boolean; stuck?: number },
): PluginError {
  if (error.timedOut === true) {
    const holder = error.stuck === undefined ? '' : ` (the kernel holds process ${error.stuck})`;
    return new PluginError(
      'UnmountWaits',
      `The SR ${uuid} could not be unmounted within ${unmountTimeout / 1000} s${holder}: its storage or its cluster does not answer; bring that back and detach the SR again, or reset this host.`,
      { cause: error },
    );
  }
  const users = processesIn(path);
  const who =
    users.length === 0
      ? 'something that shows in no process, such as a loop device or a mount in another namespace'
      : `process ${users.slice(0, 5).join(', process ')}`;
  return new PluginError(
    'SRInUse',
    `The SR ${uuid} cannot be unmounted: ${who} on this host has something of it open; end that first.`,
    { cause: error },
  );
}

function makeMountPoint(path: string): void {
  mkdirSync(hostPaths.mounts, { recursive: true, mode: 0o700 });
  mkdirSync(path, { recursive: true, mode: 0o700 });
}

/** Whether the kernel has cut a filesystem off after an error; undefined where it is not mounted here. */
export function isWithdrawn(lockTable: string): boolean | undefined {
  try {
    return readFileSync(`/sys/fs/gfs2/${lockTable}/withdraw`, 'utf8').trim() === '1';
  } catch {
    return undefined;
  }
}
