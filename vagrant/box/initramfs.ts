/** The tiny initramfs that a machine of the box starts from, under QEMU as under Xen, and that of Xen's guests. */
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Step } from './build.ts';

/** What an initramfs has beside busybox. */
export interface Content {
  /** Programs of this folder. */
  readonly programs: readonly string[];
  /** The one that is the first. */
  readonly init: string;
  /** Kernel modules that it loads, in order. */
  readonly modules: readonly string[];
}

export const machineContent: Content = {
  programs: ['init', 'dhcp-event'],
  init: 'init',
  // The disk, the network (af_packet: for DHCP), and shared folders.
  modules: [
    'virtio_pci',
    'virtio_blk',
    'crc32c_generic',
    'ext4',
    'virtio_net',
    'af_packet',
    '9pnet_virtio',
    '9p',
  ],
};

export const guestContent: Content = {
  programs: ['guest-init', 'write-blocks'],
  init: 'guest-init',
  modules: ['xen-blkfront'],
};

/**
 * Packs busybox, programs, and kernel modules.
 *
 * @param root the unpacked Debian
 * @param kernel its kernel's version
 * @param tree a folder to build in, removed afterwards
 * @param target the file to write
 */
export async function buildInitramfs(
  root: string,
  kernel: string,
  { programs, init, modules }: Content,
  tree: string,
  target: string,
  step: Step,
): Promise<void> {
  mkdirSync(join(tree, 'bin'), { recursive: true });
  mkdirSync(join(tree, 'modules'));
  copyFileSync('/bin/busybox', join(tree, 'bin/busybox'));
  for (const program of programs) {
    const place = join(tree, program === init ? 'init' : `bin/${program}`);
    copyFileSync(join(import.meta.dirname, program), place);
    chmodSync(place, 0o755);
  }
  const order: string[] = [];
  for (const path of modulesInOrder(root, kernel, modules)) {
    const name = basename(path);
    if (order.includes(name)) continue;
    order.push(name);
    copyFileSync(path, join(tree, 'modules', name));
  }
  writeFileSync(join(tree, 'modules/order'), `${order.join('\n')}\n`);
  await step(`the initramfs ${basename(target)}`, 'sh', [
    ...['-c', 'cd "$1" && find . | cpio --quiet -o -H newc -R 0:0 | gzip -9 >"$2"', 'pack', tree, target],
  ]);
  rmSync(tree, { recursive: true });
}

/** The files of the modules, each after those that it needs. */
function modulesInOrder(root: string, kernel: string, modules: readonly string[]): readonly string[] {
  return modules.flatMap((module) =>
    execFileSync('modprobe', ['-d', root, '-S', kernel, '--show-depends', module], { encoding: 'utf8' })
      .split('\n')
      .flatMap((line) => /^insmod (\S+)/.exec(line)?.[1] ?? []),
  );
}
