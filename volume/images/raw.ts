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
import type { FormatDriver } from './format.ts';

/** Raw images. Nothing in them says what they are: their content is the guest's. */
export const rawFormat: FormatDriver = {
  // The sectors of some LUNs, so that direct I/O reaches a disk's end.
  granularity: 4096n,
  maximum: 16n << 40n,

  create(file, bytes) {
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
  },

  grow(file, bytes) {
    const fd = openSync(file, constants.O_RDWR | constants.O_NOFOLLOW);
    try {
      const { size } = fstatSync(fd, { bigint: true });
      if (size >= bytes) return;
      ftruncateSync(fd, Number(bytes));
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  },

  size: (file) => statSync(file, { bigint: true }).size,

  backing(file) {
    statSync(file);
    return undefined;
  },

  isEmpty: () => false,
};
