/** The files of images, of any format. */
import { closeSync, constants, fchmodSync, fsyncSync, openSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { syncDirectory } from '../../src/atomic-file.ts';
import type { Image } from '../catalog/images.ts';
import { imageFile, imageName } from '../layout/sr-folder.ts';
import { allocatedSize } from './allocation.ts';
import { formatDriver } from './format.ts';

/** How long the storage may take to free an image's blocks, in milliseconds; big ones take their time. */
export const freeingLimit = 120_000;

/**
 * Makes an image's file, durably: it reads as zeros, or as its parent. Leaves nothing when it fails.
 *
 * @returns the bytes that it takes on the storage.
 */
export async function makeImage(folder: string, image: Image, parent: Image | undefined): Promise<bigint> {
  const file = imageFile(folder, image);
  const backing = parent === undefined ? undefined : { name: imageName(parent), format: parent.format };
  await formatDriver(image.format).create(file, image.virtualSize, backing);
  syncDirectory(dirname(file));
  return allocatedSize(file) ?? 0n;
}

/** Removes an image's file, durably, if it is there. */
export function removeImageFile(file: string): void {
  rmSync(file, { force: true });
  syncDirectory(dirname(file));
}

/**
 * Marks an image as frozen, or as one that may be written, durably. Its datapath heeds the mark, also when it
 * comes with an URI from before.
 */
export function markFrozen(file: string, frozen: boolean): void {
  const fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    fchmodSync(fd, frozen ? 0o400 : 0o600);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
