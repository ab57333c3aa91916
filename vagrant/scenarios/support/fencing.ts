/** A fence device that refuses, as after somebody has changed its password. */
import type { Host } from './host.ts';

const token = '/etc/lab-fence-token';

/** From now on the fence server refuses what these hosts ask, and keeps that they did. */
export async function breakFencing(hosts: readonly Host[]): Promise<void> {
  for (const host of hosts)
    await host.sh('[ -e "$1.right" ] || cp -p "$1" "$1.right"; echo wrong >"$1"', [token]);
}

/** Ends what {@link breakFencing} did; harmless where it did nothing. */
export async function repairFencing(hosts: readonly Host[]): Promise<void> {
  for (const host of hosts) await host.sh('[ ! -e "$1.right" ] || mv "$1.right" "$1"', [token]);
}
