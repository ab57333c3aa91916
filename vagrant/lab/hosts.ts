/** What makes hosts of the lab's machines: names of their own, our program, the fence agent. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { mustRunOnHost } from '../lib/host-command.ts';
import type { Machine } from '../lib/index.ts';
import { fenceToken } from './fence.ts';
import { place } from './place.ts';
import { initiatorName } from './target.ts';

/** What `make build/installed` makes. */
const installation = join(import.meta.dirname, '../../build/root');
const diskTarget = 'vdz';
const diskSerial = 'lab-appliance';

/**
 * Sets hosts up side by side, from whatever they are; a cluster, sessions and mounts must not be there.
 *
 * @throws CommandFailure, CommandTimeout, InfrastructureError
 */
export async function setUpHosts(machines: readonly Machine[]): Promise<void> {
  await packAppliance();
  await Promise.all(machines.map(setUpHost));
}

async function setUpHost(machine: Machine): Promise<void> {
  const agent = readFileSync(join(import.meta.dirname, 'host/fence_lab'), 'utf8');
  await machine.exec(['sh', '-c', 'cat >/usr/sbin/fence_lab; chmod 0755 /usr/sbin/fence_lab'], {
    input: agent,
  });
  await machine.exec(
    [
      'sh',
      '-c',
      'umask 077; read -r token; echo "$token" >/etc/lab-fence-token; cat >/etc/iscsi/initiatorname.iscsi',
    ],
    { input: `${fenceToken()}\nInitiatorName=${initiatorName(machine.name)}\n` },
  );
  // iscsid reads the name when it starts, and one machine of the box has the name of all.
  await machine.exec([
    'sh',
    '-c',
    'systemctl stop iscsid.socket iscsid.service; systemctl start iscsid.socket',
  ]);
  await installAppliance(machine);
}

/** Puts what is built now in the place of what a host has; processes that run go on with the old one. */
export async function installAppliance(machine: Machine): Promise<void> {
  // A disk with a tar on it: ssh's encryption of the same takes an emulated processor ten times as long.
  const disk = await machine.attachDisk({
    path: place.appliance,
    target: diskTarget,
    serial: diskSerial,
    cache: 'writeback',
    readOnly: true,
  });
  const device = `/dev/disk/by-id/virtio-${diskSerial}`;
  const script = [
    'set -e',
    'for tenth in $(seq 100); do [ ! -e "$1" ] || break; sleep 0.1; done',
    'rm -rf /usr/libexec/gfs2-iscsi-sr /usr/libexec/xapi-storage-script',
    'tar -xf "$1" -C /',
  ].join('\n');
  try {
    await machine.exec(['sh', '-c', script, 'sh', device], { timeout: 120_000 });
  } finally {
    await machine.detachDisk(disk);
  }
}

/** Packs what is built. */
export async function packAppliance(): Promise<void> {
  if (!existsSync(installation))
    throw new Error(`${installation} is missing: build it with make build/installed.`);
  await mustRunOnHost(
    undefined,
    'tar',
    ['-C', installation, '--owner=0', '--group=0', '-cf', place.appliance, ...readdirSync(installation)],
    { timeout: 60_000 },
  );
}
