/** States of systemd's units, over the system bus. */
import { withSystemd } from './bus.ts';

/** How a unit is, in systemd's words. */
export interface UnitState {
  /** `loaded`, `not-found`, `masked`, ... */
  readonly load: string;
  /** `active`, `inactive`, `failed`, ... */
  readonly active: string;
  /** `running`, `dead`, ... */
  readonly sub: string;
}

/**
 * Asks for the states of some units, such as `corosync.service`, all at once. Starts and changes nothing.
 *
 * @param timeout milliseconds for all of it.
 * @throws Error when there is no system bus, systemd is not on it, or an answer does not come in time.
 */
export function unitStates(
  names: readonly string[],
  timeout: number,
): Promise<ReadonlyMap<string, UnitState>> {
  return withSystemd(timeout, async ({ loadUnit, unitProperty }) => {
    const states = await Promise.all(
      names.map(async (name) => {
        const path = await loadUnit(name);
        const [load = '', active = '', sub = ''] = await Promise.all(
          ['LoadState', 'ActiveState', 'SubState'].map((each) => unitProperty(path, each)),
        );
        return [name, { load, active, sub }] as const;
      }),
    );
    return new Map(states);
  });
}
