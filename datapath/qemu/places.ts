/**
 * The files of a running disk's process, in a folder of its own under `<run>/disk/<key>/`:
 *
 *   alive  kept open by the process, which is known by that
 *   nbd    the socket of the disk
 *   qmp    the socket of its control
 *   log    what the process printed
 *   growing  there while a call makes the disk grow, for which it is not served for a moment
 */
import { join } from 'node:path';
import { hostPaths } from '../../src/host-paths.ts';

export interface ProcessPlaces {
  readonly folder: string;
  readonly alive: string;
  readonly nbd: string;
  readonly qmp: string;
  readonly log: string;
  readonly growing: string;
}

/** For an image's key. */
export function processPlaces(key: string): ProcessPlaces {
  const folder = join(hostPaths.run, 'disk', key);
  return {
    folder,
    alive: join(folder, 'alive'),
    nbd: join(folder, 'nbd'),
    qmp: join(folder, 'qmp'),
    log: join(folder, 'log'),
    growing: join(folder, 'growing'),
  };
}
