/** The control groups of processes that serve disks, or see to those. */
import { readText } from '../src/proc.ts';
import { isSystemdHost } from '../src/systemd/booted.ts';

/** That of all disks of this host. */
const slice = 'gfs2_sr.slice';
/** What stops the guests of a host that goes down, before their disks go. */
const guestManagers = ['xapi-domains.service', 'xendomains.service'];

/**
 * Takes a disk's process out of the control group of whoever started it, where there is systemd.
 *
 * @param key of the image at `path`.
 * @throws PluginError `SystemdUnavailable`.
 */
export async function moveDiskToScope(key: string, pid: number, path: string): Promise<void> {
  if (!isSystemdHost()) return;
  const { mountUnitOf, moveToScope } = await import('../src/systemd/scopes.ts');
  await moveToScope([pid], {
    name: `gfs2-sr-${key}-${pid}.scope`,
    description: `Disk ${path}`,
    slice,
    after: [mountUnitOf(path)],
    before: guestManagers,
  });
}

/**
 * Takes a process that sees to all disks of this host, and the one that starts it anew, out of the control group of
 * whoever started them, where there is systemd and that was not done.
 *
 * @param name of what it does, such as `room`.
 * @throws PluginError `SystemdUnavailable`.
 */
export async function moveHelperToScope(name: string, pids: readonly number[]): Promise<void> {
  if (!isSystemdHost()) return;
  const inScope = (pid: number): boolean =>
    readText(`/proc/${pid}/cgroup`)?.includes(`/gfs2-sr-${name}-`) === true;
  if (pids.every(inScope)) return;
  const { moveToScope } = await import('../src/systemd/scopes.ts');
  await moveToScope(pids, {
    name: `gfs2-sr-${name}-${pids.join('-')}.scope`,
    description: `What sees to the ${name} of disks`,
    slice,
    after: [],
    before: guestManagers,
  });
}
