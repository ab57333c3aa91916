/** A libvirtd of the lab's own: in its network namespace, with folders of its own in place of the machine's. */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Virsh } from '../lib/domain.ts';
import { InfrastructureError } from '../lib/errors.ts';
import { labDirectory, libvirtUri, place } from './place.ts';
import { networkDefinitions } from './topology.ts';

/** Folders that libvirtd sees instead of the machine's own. /run as a whole: no system bus, no systemd. */
const hiddenFolders = ['/etc/libvirt', '/var/lib/libvirt', '/var/cache/libvirt', '/var/log/libvirt', '/run'];

const daemonConfiguration = (log: string): string =>
  [
    'auth_unix_ro = "none"',
    'auth_unix_rw = "none"',
    'unix_sock_ro_perms = "0700"',
    'unix_sock_rw_perms = "0700"',
    'host_uuid_source = "smbios"',
    `log_outputs = "2:file:${log}"`,
    '',
  ].join('\n');

const qemuConfiguration = [
  'user = "root"',
  'group = "root"',
  'dynamic_ownership = 0',
  'remember_owner = 0',
  'security_driver = "none"',
  'security_default_confined = 0',
  'cgroup_controllers = []',
  'namespaces = []',
  'stdio_handler = "file"',
  '',
].join('\n');

/** Starts libvirtd and defines the networks and the pool. */
export async function startLibvirtd(signal: AbortSignal): Promise<void> {
  for (const folder of hiddenFolders) {
    mkdirSync(folder, { recursive: true });
    mkdirSync(join(labDirectory, folder), { recursive: true });
  }
  writeFileSync(join(labDirectory, 'etc/libvirt/libvirtd.conf'), daemonConfiguration(place.libvirtdLog));
  writeFileSync(join(labDirectory, 'etc/libvirt/qemu.conf'), qemuConfiguration);
  const script = [
    'set -eu',
    ...hiddenFolders.map((folder) => `mount --bind "${labDirectory}${folder}" ${folder}`),
    `exec libvirtd --pid-file "${place.run}/libvirtd.pid"`,
  ].join('\n');
  const output = openSync(join(labDirectory, 'libvirtd.out'), 'w');
  const daemon = spawn(
    'nsenter',
    [`--net=${place.namespace}`, 'unshare', '--mount', '--propagation', 'private', 'sh', '-c', script],
    { stdio: ['ignore', output, output], detached: true },
  );
  closeSync(output);
  daemon.unref();
  let ended = false;
  daemon.once('exit', () => {
    ended = true;
  });
  const deadline = Date.now() + 30_000;
  while (!existsSync(place.libvirtSocket)) {
    if (ended || Date.now() > deadline)
      throw new InfrastructureError(
        `The lab's libvirtd did not start: ${readFileSync(join(labDirectory, 'libvirtd.out'), 'utf8').trim()}`,
      );
    await sleep(100, undefined, { signal });
  }
  const virsh = new Virsh(libvirtUri, signal);
  for (const { name, xml } of networkDefinitions()) {
    await virsh.runWithXml(['net-define'], xml);
    await virsh.run(['net-start', name]);
  }
  await virsh.run(['pool-define-as', 'lab', 'dir', '--target', place.pool]);
  await virsh.run(['pool-start', 'lab']);
}
