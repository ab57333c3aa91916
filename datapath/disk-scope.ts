/** The control groups of processes that serve disks. */
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
  await moveToScope(pid, {
    name: `gfs2-sr-${key}-${pid}.scope`,
    description: `Disk ${path}`,
    slice,
    after: [mountUnitOf(path)],
    before: guestManagers,
  });
}
