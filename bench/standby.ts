import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { volumePluginFolder } from '../test/support/xapi.ts';

/** For calls from their start, without a process that stands by. */
export const fromStart = { GFS2_SR_STANDBY: 'no' } as const;

/** Milliseconds for a process to begin to stand by, and for it to be at rest. */
const limit = 10_000;
const rest = 20;

/**
 * Waits until a process stands by for the next call of a plugin, as it does between calls that do not come at once; not
 * where there is none, as before the first call.
 *
 * @param run the folder of this boot's state.
 * @param plugin its name; the volume plugin's unless told.
 */
export async function untilStandby(run: string, plugin = basename(volumePluginFolder)): Promise<void> {
  const socket = join(run, 'standby', plugin);
  for (const end = performance.now() + limit; !existsSync(socket) && performance.now() < end; )
    await sleep(5);
  await sleep(rest);
}
