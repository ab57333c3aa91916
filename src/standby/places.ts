/**
 * The files of processes that stand by for calls, in `<run>/standby/`, two for each plugin:
 *
 *   NAME.lock  held with flock(2), exclusively, by the one that stands by
 *   NAME       its socket, where the relay (relay.cc) comes with a call
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { hostPaths } from '../host-paths.ts';

export interface StandbyPlaces {
  readonly folder: string;
  readonly lock: string;
  readonly socket: string;
}

/** For a plugin's name. */
export function standbyPlaces(plugin: string): StandbyPlaces {
  const folder = join(hostPaths.run, 'standby');
  return { folder, lock: join(folder, `${plugin}.lock`), socket: join(folder, plugin) };
}

/** Makes the folder of them; a host that keeps nothing of this boot, for it has no SR, has none, and this fails. */
export function makeStandbyFolder(folder: string): void {
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}
