import { closeSync, existsSync, openSync } from 'node:fs';
import { setPriority } from 'node:os';
import { tryLock } from '../locks/flock.ts';
import { ownNode } from '../own-node.ts';
import { pluginOf, relayOf } from './circumstances.ts';
import { makeStandbyFolder, standbyPlaces } from './places.ts';

/** What a process is started with that is to stand by. */
export const standbyEntry = '--stand-by';

/** The descriptor of the lock that it inherits. */
export const standbyLock = 3;

/** How much it stands back behind calls while it starts (nice(1)). */
const niceness = 15;

/**
 * Has a process stand by for the next call, unless one does: nobody waits for this. Only an installation has them, where
 * the relay brings calls to them; `GFS2_SR_STANDBY=no` is for those who want each call from its start.
 */
export function startSuccessor(): void {
  const [, bundle = ''] = process.argv;
  const isInstalled = bundle.endsWith('.cjs') && existsSync(relayOf(bundle));
  if (!isInstalled || process.env.GFS2_SR_STANDBY === 'no') return;
  try {
    const lock = takeLock(pluginOf(bundle));
    if (lock === undefined) return;
    const [command, ...args] = ownNode();
    // Not before: it takes some milliseconds to load.
    const { spawn } = process.getBuiltinModule('node:child_process');
    const { GFS2_SR_LAUNCHER: _, GFS2_SR_COLD: __, ...env } = process.env;
    const child = spawn(command, [...args, bundle, standbyEntry], {
      cwd: '/',
      env,
      detached: true,
      stdio: ['ignore', 'ignore', 'ignore', lock],
    });
    child.on('error', () => {});
    child.unref();
    if (child.pid !== undefined) setPriority(child.pid, niceness);
  } catch {
    // The next call takes a little longer.
  }
}

/** The lock of who stands by, which the successor inherits; undefined where one stands by, or is on its way to. */
function takeLock(plugin: string): number | undefined {
  const { folder, lock } = standbyPlaces(plugin);
  makeStandbyFolder(folder);
  const fd = openSync(lock, 'a', 0o600);
  if (tryLock(fd, 'exclusive')) return fd;
  closeSync(fd);
  return undefined;
}
