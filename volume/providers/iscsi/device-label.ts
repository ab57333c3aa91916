/** The label and the superblock of an SR, on a block device of this host. */
import { PluginError } from '../../../src/smapi/errors.ts';
import {
  decodeSuperblock,
  superblockLength,
  superblockOffset,
  withLockTable,
} from '../../layout/gfs2-superblock.ts';
import { decodeLabel, encodeLabel, type Label, labelLength, labelOffset } from '../../layout/label.ts';
import { type Content, recogniseContent, regions } from '../../probe/content.ts';
import { readDevice, writeDevice } from './device-io.ts';

/** What the label and the superblock of a device say, read from the medium. */
export async function readSrContent(device: string): Promise<Content> {
  const bytes = await readDevice(device, labelOffset, labelLength + superblockLength);
  return recogniseContent(new Uint8Array(regions.start[1]), bytes);
}

/**
 * Replaces the label. The caller holds what keeps other writers away: the SR's exclusive catalog lock, or a
 * claim.
 *
 * @param change what to write, from what is there; undefined to leave it.
 * @throws PluginError `LabelMissing`, `LabelTooNew`, `DeviceFailed`.
 */
export async function changeLabel(
  device: string,
  change: (label: Label | undefined) => Label | undefined,
): Promise<void> {
  const area = await readDevice(device, labelOffset, labelLength);
  const state = decodeLabel(area);
  const changed = change(state.kind === 'label' ? state.label : undefined);
  if (changed === undefined) return;
  const { offset, bytes } = encodeLabel(area, changed);
  await writeDevice(device, offset, bytes);
}

/** Puts another lock table into the superblock of a filesystem that nobody has mounted. */
export async function renameLockTable(device: string, lockTable: string): Promise<void> {
  const block = await readDevice(device, superblockOffset, superblockLength);
  if (decodeSuperblock(block) === undefined) {
    throw new PluginError('MkfsFailed', `mkfs.gfs2 left no superblock on ${device}; see the kernel's log.`);
  }
  await writeDevice(device, superblockOffset, withLockTable(block, lockTable));
}

/** Takes the superblock away, and so the filesystem. */
export async function wipeSuperblock(device: string): Promise<void> {
  await writeDevice(device, superblockOffset, new Uint8Array(superblockLength));
}

/** Takes the label away. */
export async function wipeLabel(device: string): Promise<void> {
  await writeDevice(device, labelOffset, new Uint8Array(labelLength));
}
