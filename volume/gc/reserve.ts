/** Room that garbage collection keeps on an SR's storage, for merges when all other room is taken. */
import { rmSync } from 'node:fs';
import { roomMarks } from '../../datapath/live-control/disk-states.ts';
import { log } from '../../src/log.ts';
import { changeCatalog } from '../catalog/catalog.ts';
import { allocatedSize } from '../images/allocation.ts';
import { reserveFile } from '../layout/sr-folder.ts';
import { loadProvider } from '../providers/provider.ts';
import type { AttachedSr } from '../sr/attached.ts';

/** A part of the filesystem, and at most, in bytes. */
const part = 64n;
const most = 1n << 30n;
const pageSize = 4096n;

/** The bytes of the reserve of an SR. */
export function sizeOfReserve(folder: string): bigint {
  return allocatedSize(reserveFile(folder)) ?? 0n;
}

/** Gives the reserve to whoever is quicker: the caller, or whoever else needs room. Under the lock of the catalog. */
export function releaseReserve(folder: string): void {
  rmSync(reserveFile(folder), { force: true });
}

/** Makes the reserve, where there is none and much room. */
export async function keepReserve(sr: AttachedSr): Promise<void> {
  const { space } = await loadProvider(sr.provider);
  try {
    await changeCatalog(sr, async () => {
      const { free, total } = space(sr);
      const wanted = total / part < most ? total / part : most;
      const size = (wanted / pageSize) * pageSize;
      if (size === 0n || sizeOfReserve(sr.path) >= size) return;
      // Disks must not be paused for it.
      if (Number(free - size) < roomMarks(Number(total)).high) return;
      const { run } = await import('../../src/commands.ts');
      const file = reserveFile(sr.path);
      try {
        // It takes its room at once, without being written.
        await run('fallocate', ['-l', String(size), file]);
      } catch (error) {
        rmSync(file, { force: true });
        throw error;
      }
    });
  } catch (error) {
    log(
      'warning',
      `the SR ${sr.uuid} has no reserve for merges: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}
