import { setTimeout as sleep } from 'node:timers/promises';
import type { VolumeHost } from './volume-host.ts';

/** Waits until some task of a host has begun with its work; answers its id. */
export async function pendingTask(host: VolumeHost): Promise<string> {
  for (;;) {
    for (const id of await host.call('Task.ls', {})) {
      const { state } = await host.call('Task.stat', { id });
      if (state[0] === 'Pending' && state[1] > 0) return id;
    }
    await sleep(20);
  }
}
