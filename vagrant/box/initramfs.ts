/** The tiny initramfs that a machine of the box starts from, under QEMU as under Xen. */
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Step } from './build.ts';

/** The disk, the network (af_packet: for DHCP), and shared folders. */
const modules = [
  'virtio_pci',
  'virtio_blk',
  'crc32c_generic',
  'ext4',
  'virtio_net',
  'af_packet',
  '9pnet_virtio',
  '9p',
];

/**
 * Packs busybox, our init, and the kernel modules that it loads, in order.
 *
 * @param root the unpacked Debian
 * @param kernel its kernel's version
 * @param tree a folder to build in, removed afterwards
 * @param target the file to write
 */
export async function buildInitramfs(
  root: string,
  kernel: string,
  tree: string,
  target: string,
  step: Step,
): Promise<void> {
  mkdirSync(join(tree, 'bin'), { recursive: true });
  mkdirSync(join(tree, 'modules'));
  copyFileSync('/bin/busybox', join(tree, 'bin/busybox'));
  for (const program of ['init', 'dhcp-event']) {
    copyFileSync(join(import.meta.dirname, program), join(tree, program));
    chmodSync(join(tree, program), 0o755);
  }
  const order: string[] = [];
  for (const path of modulesInOrder(root, kernel)) {
    const name = basename(path);
    if (order.includes(name)) continue;
    order.push(name);
    copyFileSync(path, join(tree, 'modules', name));
  }
  writeFileSync(join(tree, 'modules/order'), `${order.join('\n')}\n`);
  await step('the initramfs', 'sh', [
    ...['-c', 'cd "$1" && find . | cpio --quiet -o -H newc -R 0:0 | gzip -9 >"$2"', 'pack', tree, target],
  ]);
  rmSync(tree, { recursive: true });
}

/** The files of the modules, each after those that it needs. */
function modulesInOrder(root: string, kernel: string): readonly string[] {
  return modules.flatMap((module) =>
    execFileSync('modprobe', ['-d', root, '-S', kernel, '--show-depends', module], { encoding: 'utf8' })
      .split('\n')
      .flatMap((line) => /^insmod (\S+)/.exec(line)?.[1] ?? []),
  );
}
