/** What an SR leaves behind on a host, or on the target, as long as it is attached. */
import { strict as assert } from 'node:assert';
import { type IscsiTarget, type TargetName, targets } from '../../lab/target.ts';
import type { Host } from './host.ts';

/**
 * All that a host has of SRs and of the target: nothing where nothing is attached. It asks only the kernel's own lists, which no
 * filesystem can hold up.
 *
 * @returns a line each, such as `session iqn.2026-11.lab:pool` or `mount /run/sr-mount/UUID`; sorted.
 */
export async function tracesOn(host: Host): Promise<readonly string[]> {
  const script = [
    'shopt -s nullglob',
    'for s in /sys/class/iscsi_session/session*; do echo "session $(cat "$s/targetname")"; done',
    'for root in /etc/iscsi /var/lib/iscsi; do',
    '  for f in "$root"/nodes/*/* "$root"/send_targets/* "$root"/.gfs2-iscsi-sr*; do echo "record $f"; done',
    'done',
    'for d in /sys/block/sd*; do echo "disk $(basename "$d")"; done',
    'for d in /sys/block/dm-*/dm; do read -r uuid <"$d/uuid" || true; [[ $uuid != *mpath-* ]] || echo "map $(cat "$d/name")"; done',
    'for f in /etc/multipath/conf.d/gfs2-iscsi-sr*; do echo "setting $f"; done',
    'while read -r _ path type _; do [[ $type != gfs2 && $path != /run/sr-mount/* ]] || echo "mount $path"; done </proc/self/mounts',
    'for f in /run/sr-mount/*; do echo "mount point $f"; done',
    'for f in /run/gfs2-iscsi-sr/{sr,lun}/*.json; do echo "note $f"; done',
    'for d in /sys/kernel/dlm/*; do echo "lockspace $(basename "$d")"; done',
    'for d in /run/gfs2-iscsi-sr/disk/*; do echo "disk process $d"; done',
    'for d in /sys/block/nbd*/pid; do echo "device $(basename "$(dirname "$d")") of process $(cat "$d")"; done',
    'for d in /sys/block/loop*/loop; do echo "loop device on $(cat "$d/backing_file")"; done',
  ].join('\n');
  return (await host.sh(script))
    .split('\n')
    .filter((line) => line !== '')
    .sort();
}

/** Checks that a host is as if it had never had an SR: nothing on it, and no session with it on the target. */
export async function expectNoTraces(host: Host, target: IscsiTarget): Promise<void> {
  assert.deepEqual(await tracesOn(host), [], `something is left on ${host.name}`);
  for (const name of Object.keys(targets) as TargetName[])
    assert(
      !(await target.hasSessionWith(name, host.name)),
      `${targets[name]} has a session with ${host.name}`,
    );
}

/** Removes what open-iscsi keeps of targets that a host had when it lost its power; no session must be left. */
export async function forgetRecords(hosts: readonly Host[]): Promise<void> {
  await Promise.all(
    hosts.map((host) =>
      host.sh(
        'for root in /etc/iscsi /var/lib/iscsi; do rm -rf "$root"/nodes/* "$root"/send_targets/*; done',
      ),
    ),
  );
}
