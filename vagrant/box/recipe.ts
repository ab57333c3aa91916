/** What the box is made of, and the hash that names it. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';

/** The Debian release of the box. */
export const release = 'bookworm';

/** Its architecture. */
export const architecture = 'amd64';

/** The size of the root filesystem, in MiB; the image file holds only what is written. */
export const rootMebibytes = 8192;

/** Debian packages, by the reason that they are in. */
const packageGroups = {
  system: [
    'dbus',
    'e2fsprogs',
    'iproute2',
    'iputils-ping',
    'kmod',
    'less',
    'linux-image-amd64',
    'nftables',
    'openssh-server',
    'procps',
    'systemd-sysv',
    'udev',
  ],
  runtime: ['libatomic1', 'libiscsi7'],
  cluster: [
    'corosync',
    'corosync-qdevice',
    'corosync-qnetd',
    'dlm-controld',
    'fence-agents',
    'gfs2-utils',
    'sbd',
  ],
  storage: [
    'libiscsi-bin',
    'multipath-tools',
    'nbd-client',
    'open-iscsi',
    'qemu-system-common',
    'qemu-utils',
    'sg3-utils',
    'sqlite3',
  ],
  target: ['targetcli-fb'],
  xen: [
    'extlinux',
    'qemu-system-xen',
    'syslinux-common',
    'xen-hypervisor-4.17-amd64',
    'xen-utils-4.17',
    'xenstore-utils',
  ],
};

/** All Debian packages of the box. */
export const packages: readonly string[] = Object.values(packageGroups).flat();

/** Every file below some folders: its path, whether it may be run, and its bytes. */
function* contents(folder: string): Generator<readonly [string, boolean, Buffer]> {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();
  for (const name of names) {
    const path = join(folder, name);
    const status = statSync(path);
    if (status.isFile()) yield [relative(folder, path), (status.mode & 0o100) !== 0, readFileSync(path)];
  }
}

/**
 * Names a box by all that goes into it: 16 hexadecimal digits over the files of the recipe's own folder
 * (tests aside) and of a tester's folder. The packages' versions are not part of it: a box stays as it was
 * built until the recipe changes or somebody deletes it.
 */
export function recipeHash(recipeFolder: string, extraFolder?: string): string {
  const hash = createHash('sha256');
  const add = (folder: string, label: string) => {
    for (const [name, executable, bytes] of contents(folder)) {
      if (name.endsWith('.test.ts')) continue;
      hash.update(`${label}/${name}\0${executable ? 'x' : '-'}${bytes.length}\0`).update(bytes);
    }
  };
  add(recipeFolder, 'recipe');
  if (extraFolder !== undefined) add(extraFolder, 'extra');
  return hash.digest('hex').slice(0, 16);
}
