/** What is kept of a lab in which something went wrong. */
import { copyFileSync, cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { place } from '../../lab/place.ts';
import type { InfrastructureError, Machine, Vagrant } from '../../lib/index.ts';

/** All of a host's state, none of which asks a filesystem that may hang; secrets are in none of it. */
const hostState = [
  'uptime',
  'cat /proc/self/mounts',
  'dmesg',
  'gfs2-sr cluster status',
  'corosync-quorumtool -s',
  'corosync-cmapctl -m stats',
  'dlm_tool status -v',
  'dlm_tool ls',
  'dlm_tool dump',
  'cat /etc/dlm/dlm.conf',
  'grep -r . /sys/fs/gfs2/*/withdraw /sys/fs/gfs2/*/lock_module/jid',
  'iscsiadm -m session -P 3',
  'multipath -ll',
  'lsblk -o NAME,SIZE,TYPE,WWN,MOUNTPOINTS',
  'losetup --list',
  'ls -lR /run/gfs2-iscsi-sr',
  'ps -eo pid,ppid,stat,wchan:32,etimes,args',
  'systemctl --no-pager --failed',
  'for pid in $(ps -eo pid=,stat= | awk \'$2 ~ /D/ {print $1}\'); do echo "$pid"; cat /proc/$pid/stack; done',
];

const targetState = [
  'dmesg',
  'cat /etc/lab-target/luns',
  'dmsetup table',
  'grep -r . /sys/kernel/config/target/iscsi/*/fabric_statistics',
  'grep -r . /sys/kernel/config/target/iscsi/*/tpgt_*/acls/*/info',
  'grep -r . /sys/kernel/config/target/core/iblock_0/*/pr',
  "ss -tn 'sport = :3260'",
];

/** Fills a new folder below `into`, and gives its path. Never fails: a lab like that is not in order. */
export async function keepEvidence(
  vagrant: Vagrant,
  machines: readonly string[],
  into: string,
  name: string,
): Promise<string> {
  const folder = newFolder(into, name);
  for (const file of [place.fenceLog, place.libvirtdLog])
    if (existsSync(file)) copyFileSync(file, join(folder, basename(file)));
  await Promise.all(
    machines.map(async (machine) => {
      await vagrant.machine(machine).collectLogs(folder);
      await keepState(vagrant.machine(machine), machine === 'target' ? targetState : hostState, folder);
    }),
  );
  return folder;
}

/** Keeps what there is of a lab whose machines do not answer, and gives the folder's path. */
export function keepConsoles({ message, details }: InfrastructureError, into: string): string {
  const folder = newFolder(into, 'lab');
  writeFileSync(join(folder, 'failure.txt'), `${message}\n\n${details}\n`);
  if (existsSync(place.libvirtdLog)) copyFileSync(place.libvirtdLog, join(folder, 'libvirtd.log'));
  if (existsSync(place.console)) cpSync(place.console, folder, { recursive: true });
  return folder;
}

function newFolder(into: string, name: string): string {
  const folder = join(into, `${new Date().toISOString().replaceAll(':', '').slice(0, 17)}-${name}`);
  mkdirSync(folder, { recursive: true });
  return folder;
}

async function keepState(machine: Machine, commands: readonly string[], folder: string): Promise<void> {
  const script = commands
    .map(
      (command) => `printf '\\n==== %s\\n' ${quote(command)}; timeout -k 1 10 bash -c ${quote(command)} 2>&1`,
    )
    .join('\n');
  const text = await machine
    .exec(['bash', '-s'], { input: script, timeout: 60_000, expect: 'any' })
    .then(({ stdout }) => stdout)
    .catch((error: unknown) => String(error));
  writeFileSync(join(folder, `${machine.name}-state.txt`), text);
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
