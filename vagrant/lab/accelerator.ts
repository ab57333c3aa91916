/** Whether this machine's KVM is good for the lab. */
import { existsSync } from 'node:fs';
import type { Box } from '../box/build.ts';
import { runOnHost } from '../lib/host-command.ts';

/**
 * `kvm` when the box's own kernel starts under it within some seconds, else `tcg`: a /dev/kvm that is there
 * may still not run a stock kernel, on a machine that is a virtual one itself.
 */
export async function chooseAccelerator(box: Box, signal: AbortSignal): Promise<'kvm' | 'tcg'> {
  if (!existsSync('/dev/kvm')) return 'tcg';
  const { stdout } = await runOnHost(
    undefined,
    'qemu-system-x86_64',
    [
      ...['-accel', 'kvm', '-cpu', 'host', '-machine', 'pc', '-m', '256'],
      ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-serial', 'stdio'],
      ...['-kernel', box.kernel, '-initrd', box.initramfs, '-append', 'console=ttyS0 panic=-1 lab.check'],
    ],
    { timeout: 8_000, signal },
  );
  return stdout.includes('lab-kernel-runs') ? 'kvm' : 'tcg';
}
