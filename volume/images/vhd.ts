/**
 * VHD images, made and changed by vhd-util. QEMU's tools are of no use here: they know neither parents nor, when they
 * read, which sectors of a block are held, and what lies in others (such as a footer of before) would be data to them.
 */
import { closeSync, fsyncSync, openSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { syncFile } from '../../src/atomic-file.ts';
import { tryLock } from '../../src/locks/flock.ts';
import { listHeldParts, readVhdHeader, vhdBlockSize } from '../../src/vhd/header.ts';
import type { FormatDriver } from './format.ts';
import { vhdUtil } from './vhd-util.ts';

const mebibyte = 1n << 20n;

/** With their tables, 2040 GiB are what fits below the 2 TiB of the format's addresses. */
const maximum = 2040n << 30n;

/**
 * Images have a table for the biggest disk from the start, of 4 MiB: growing is a new size in both footers then. With a
 * table to be moved it would need a journal, whose recovery vhd-util does not promise after a lost host.
 */
const tableFor = ['-S', String(maximum / mebibyte)];

/** VHD images: dynamic ones, and differencing ones on others. */
export const vhdFormat: FormatDriver = {
  granularity: vhdBlockSize,
  maximum,

  async create(file, bytes, backing) {
    // Made here, for its mode, and so that the lock on it lasts as long as vhd-util.
    const fd = openSync(file, 'wx', 0o600);
    try {
      tryLock(fd, 'exclusive');
      // -e: on this very parent, also if that holds nothing; so no image below it is opened.
      const args =
        backing === undefined
          ? ['create', '-n', file, '-s', String(bytes / mebibyte), ...tableFor]
          : ['snapshot', '-e', '-n', file, '-p', join(dirname(file), backing.name), ...tableFor];
      await vhdUtil(args, file, { inherit: [fd] });
      await setSize(file, bytes, fd);
      fsyncSync(fd);
    } catch (error) {
      rmSync(file, { force: true });
      throw error;
    } finally {
      closeSync(fd);
    }
  },

  async grow(file, bytes, lock) {
    await setSize(file, bytes, lock);
    syncFile(file);
  },

  async settle(file, lock) {
    if (readVhdHeader(file).isSettled) return;
    // Writes both footers with what the one at the end says.
    await vhdUtil(['set', '-n', file, '-f', 'hidden', '-v', '0'], file, {
      inherit: lock === undefined ? [] : [lock],
    });
    syncFile(file);
  },

  size: (file) => readVhdHeader(file).size,

  backing: (file) => readVhdHeader(file).backing,

  isEmpty: (file) => listHeldParts(file).length === 0,
};

async function setSize(file: string, bytes: bigint, lock: number | undefined): Promise<void> {
  if (readVhdHeader(file).size >= bytes) return;
  await vhdUtil(['resize', '-f', '-n', file, '-s', String(bytes / mebibyte)], file, {
    inherit: lock === undefined ? [] : [lock],
  });
}
