/** Raw images: sparse files of exactly the disk's bytes. */
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  rmSync,
  statSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { syncDirectory } from '../../src/atomic-file.ts';

/** How long the storage may take to free an image's blocks, in milliseconds; big ones take their time. */
export const freeingLimit = 120_000;

/** Makes an empty image of `bytes`, durably; leaves nothing when it fails. */
export function createRawImage(file: string, bytes: bigint): void {
  const fd = openSync(file, 'wx', 0o600);
  try {
    ftruncateSync(fd, Number(bytes));
    fsyncSync(fd);
  } catch (error) {
    rmSync(file, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
  syncDirectory(dirname(file));
}

/** Removes an image, durably, if it is there. */
export function removeRawImage(file: string): void {
  rmSync(file, { force: true });
  syncDirectory(dirname(file));
}

/**
 * Grows an image to `bytes`, durably; its new part reads as zeros. Never makes one smaller.
 *
 * @returns its size now, in bytes.
 */
export function growRawImage(file: string, bytes: bigint): bigint {
  const fd = openSync(file, constants.O_RDWR | constants.O_NOFOLLOW);
  try {
    const { size } = fstatSync(fd, { bigint: true });
    if (size >= bytes) return size;
    ftruncateSync(fd, Number(bytes));
    fsyncSync(fd);
    return bytes;
  } finally {
    closeSync(fd);
  }
}

/** The bytes of an image as its disk has them. */
export function rawImageSize(file: string): bigint {
  return statSync(file, { bigint: true }).size;
}
