/** The locks that a datapath holds while a disk runs: exclusive on its image, shared on all that this builds on. */
import { execFileSync } from 'node:child_process';
import { closeSync, fstatSync, openSync } from 'node:fs';
import { lockFromBackground } from '../../src/locks/giving-way.ts';
import type { Volume } from '../../src/smapi/interface.ts';
import { formatOf } from './disk.ts';
import { imageOf } from './volume-host.ts';

/** Locks of a disk, until they are disposed of. */
export class GuestLock implements Disposable {
  readonly #fds: number[] = [];

  /** Locks a volume's images; false where one of them is not there any more, or someone keeps it. */
  async take(volume: Volume): Promise<boolean> {
    const image = imageOf(volume);
    if (!(await this.#lock(image, 'exclusive'))) return false;
    const args = ['info', '-U', '--backing-chain', '--output=json', '-f', formatOf(volume), image];
    const chain = JSON.parse(String(execFileSync('qemu-img', args))) as { filename: string }[];
    for (const { filename } of chain.slice(1)) if (!(await this.#lock(filename, 'shared'))) return false;
    return true;
  }

  async #lock(file: string, mode: 'exclusive' | 'shared'): Promise<boolean> {
    let fd: number;
    try {
      fd = openSync(file, 'r');
    } catch {
      return false;
    }
    this.#fds.push(fd);
    return (await lockFromBackground(fd, mode)) && fstatSync(fd).nlink > 0;
  }

  [Symbol.dispose](): void {
    for (const fd of this.#fds.reverse()) closeSync(fd);
  }
}
