/** qcow2 images, changed by qemu-img. Nothing is ever guessed: formats are stated in every call. */
import { closeSync, fsyncSync, openSync, rmSync } from 'node:fs';
import { syncFile } from '../../src/atomic-file.ts';
import { writeEmptyImage } from '../../src/qcow2/empty-image.ts';
import { hasNoClusters, readQcow2Header } from '../../src/qcow2/header.ts';
import type { FormatDriver } from './format.ts';
import { qemuImg } from './qemu-img.ts';

/** qcow2 images. */
export const qcow2Format: FormatDriver = {
  granularity: 512n,
  maximum: 16n << 40n,

  create(file, bytes, backing) {
    const fd = openSync(file, 'wx', 0o600);
    try {
      // The parent is not opened, nor its parents, so that this takes the same time on any of them.
      writeEmptyImage(fd, bytes, backing);
      fsyncSync(fd);
    } catch (error) {
      rmSync(file, { force: true });
      throw error;
    } finally {
      closeSync(fd);
    }
  },

  async grow(file, bytes, lock) {
    if (readQcow2Header(file).size >= bytes) return;
    await qemuImg(['resize', '-q', '-f', 'qcow2', file, String(bytes)], file, {
      inherit: lock === undefined ? [] : [lock],
    });
    syncFile(file);
  },

  size: (file) => readQcow2Header(file).size,

  backing: (file) => readQcow2Header(file).backing,

  isEmpty: (file) => hasNoClusters(file),
};
