import { closeSync, constants, fsyncSync, openSync } from 'node:fs';
import type { Backing } from '../../src/qcow2/header.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import type { Image } from '../catalog/images.ts';
import { imageName } from '../layout/sr-folder.ts';
import { qemuImg } from './qemu-img.ts';

/** What an image's file must say of its parent. */
export function backingOn(parent: Image | undefined): Backing | undefined {
  return parent === undefined ? undefined : { name: imageName(parent), format: parent.format };
}

/**
 * Has a qcow2 image name another parent, durably, without a look at either's content. Images of other formats keep
 * theirs.
 *
 * @param lock the locked image, which qemu-img keeps locked until it ends.
 * @throws PluginError `ImageDamaged` for an image of another format; as qemuImg.
 */
export async function setBacking(
  { format }: Pick<Image, 'format'>,
  file: string,
  backing: Backing | undefined,
  lock: number | undefined,
): Promise<void> {
  if (format !== 'qcow2') {
    throw new PluginError(
      'ImageDamaged',
      `The image ${file} does not name the parent that the catalog says; restore it from a backup.`,
    );
  }
  const parent = backing === undefined ? ['-b', ''] : ['-b', backing.name, '-F', backing.format ?? ''];
  await qemuImg(['rebase', '-q', '-u', '-f', 'qcow2', ...parent, file], file, {
    inherit: lock === undefined ? [] : [lock],
  });
  const fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
