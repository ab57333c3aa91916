/** Where a benchmark has images and what serves them. */
import { closeSync, constants, mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { qcow2Options } from '../test/support/qcow2-options.ts';
import { timeProcess } from './whole-process.ts';

/** Folders, until they are disposed of. */
export class DiskPlaces implements Disposable {
  readonly images: string;
  /** Apart from the images, for the path of a socket must be short. */
  readonly sockets: string;
  /** For datapath plugins, with the folder of their records. */
  readonly environment: { readonly GFS2_SR_RUN_DIR: string };

  /** @param onDisk a folder on a filesystem that takes direct I/O. */
  constructor(onDisk: string) {
    mkdirSync(onDisk, { recursive: true });
    this.images = mkdtempSync(join(onDisk, 'bench-disks-'));
    this.sockets = mkdtempSync(join(tmpdir(), 'bench-disks-'));
    this.environment = { GFS2_SR_RUN_DIR: join(this.sockets, 'run') };
    try {
      requireDirectIo(this.images);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    for (const folder of [this.images, this.sockets]) rmSync(folder, { recursive: true, force: true });
  }
}

/** Makes a qcow2 image as those of volumes are. */
export function qemuImg(
  command: 'create' | 'convert',
  more: readonly string[],
  ...args: readonly string[]
): void {
  const options = [qcow2Options, ...more].join(',');
  const format = command === 'convert' ? ['-O', 'qcow2', '-t', 'none', '-T', 'none'] : ['-q'];
  timeProcess('qemu-img', [command, ...format, '-o', options, ...args]);
}

function requireDirectIo(folder: string): void {
  const probe = join(folder, 'probe');
  try {
    closeSync(openSync(probe, constants.O_CREAT | constants.O_RDWR | constants.O_DIRECT, 0o600));
  } catch (error) {
    throw new Error(`the filesystem of ${folder} takes no direct I/O: run this on one that does`, {
      cause: error,
    });
  }
}
