import { dirname, join } from 'node:path';
import { syncFile } from '../../src/atomic-file.ts';
import type { Backing } from '../../src/qcow2/header.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import type { Image } from '../catalog/images.ts';
import { imageName } from '../layout/sr-folder.ts';
import { qemuImg } from './qemu-img.ts';
import { vhdUtil } from './vhd-util.ts';

/** What an image's file must say of its parent. */
export function backingOn(parent: Image | undefined): Backing | undefined {
  return parent === undefined ? undefined : { name: imageName(parent), format: parent.format };
}

/**
 * Has an image name another parent, durably, without a look at either's content. What dies on the way may be repeated.
 *
 * @param lock the locked image, which the tool keeps locked until it ends.
 * @throws PluginError `ImageDamaged` for an image that cannot; as qemuImg, vhdUtil.
 */
export async function setBacking(
  { format }: Pick<Image, 'format'>,
  file: string,
  backing: Backing | undefined,
  lock: number | undefined,
): Promise<void> {
  const inherit = lock === undefined ? [] : [lock];
  if (format === 'qcow2') {
    const parent = backing === undefined ? ['-b', ''] : ['-b', backing.name, '-F', backing.format ?? ''];
    await qemuImg(['rebase', '-q', '-u', '-f', 'qcow2', ...parent, file], file, { inherit });
  } else if (format === 'vhd' && backing !== undefined) {
    await vhdUtil(['modify', '-n', file, '-p', join(dirname(file), backing.name)], file, { inherit });
  } else {
    throw new PluginError(
      'ImageDamaged',
      `The image ${file} does not name the parent that the catalog says; restore it from a backup.`,
    );
  }
  syncFile(file);
}
