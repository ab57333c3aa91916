/** What a backup program makes of the answer of Volume.list_changed_blocks. */
import { execFileSync, spawnSync } from 'node:child_process';
import type { ChangedBlocks, Volume } from '../../src/smapi/interface.ts';
import { formatOf } from './disk.ts';
import { imageOf } from './volume-host.ts';

/** Bytes of a block, which xapi does not pass on: programs take it for this. */
export const backupBlock = 65_536;

/** The numbers of the blocks that an answer has. */
export function blocksOf({ granularity, bitmap }: ChangedBlocks): readonly number[] {
  if (granularity !== backupBlock) throw new Error(`blocks of ${granularity} bytes`);
  return [...Buffer.from(bitmap, 'base64')].flatMap((byte, at) =>
    Array.from({ length: 8 }, (_, bit) => bit).flatMap((bit) =>
      (byte & (0x80 >> bit)) === 0 ? [] : [at * 8 + bit],
    ),
  );
}

/** Brings a backup up to date by the changed blocks of a volume's disk, and by nothing else. */
export function updateBackup(backup: Buffer, disk: Buffer, changed: ChangedBlocks): Buffer {
  const updated = Buffer.alloc(disk.length);
  backup.copy(updated);
  for (const block of blocksOf(changed)) {
    disk.copy(updated, block * backupBlock, block * backupBlock, (block + 1) * backupBlock);
  }
  return updated;
}

/** Does what a guest may do with a part of its disk, by a command of qemu-io, durably. */
export function perform(volume: Volume, command: string): void {
  const options = ['-d', 'unmap', '-f', formatOf(volume)];
  execFileSync('qemu-io', [...options, '-c', command, '-c', 'flush', imageOf(volume)]);
}

/** Has who writes a disk die by SIGKILL after some commands of qemu-io; answers the signal by which it died. */
export function dieAfter(volume: Volume, commands: readonly string[]): string | null {
  const all = [...commands, 'sigraise 9'].flatMap((command) => ['-c', command]);
  return spawnSync('qemu-io', ['-d', 'unmap', '-f', formatOf(volume), ...all, imageOf(volume)]).signal;
}
