/** States of systemd's units, over the system bus (org.freedesktop.systemd1). */

/** How a unit is, in systemd's words. */
export interface UnitState {
  /** `loaded`, `not-found`, `masked`, ... */
  readonly load: string;
  /** `active`, `inactive`, `failed`, ... */
  readonly active: string;
  /** `running`, `dead`, ... */
  readonly sub: string;
}

const systemd = 'org.freedesktop.systemd1';

/**
 * Asks for the states of some units, such as `corosync.service`, all at once. Starts and changes nothing.
 *
 * @param timeout milliseconds for all of it.
 * @throws Error when there is no system bus, systemd is not on it, or an answer does not come in time.
 */
export async function unitStates(
  names: readonly string[],
  timeout: number,
): Promise<ReadonlyMap<string, UnitState>> {
  const { systemBus, Message, Variant } = await import('dbus-next').then((module) => module.default);
  const bus = systemBus();
  const deadline = Promise.withResolvers<never>();
  const timer = setTimeout(() => deadline.reject(new Error(`no answer within ${timeout} ms`)), timeout);
  try {
    // A bus that is not there tells so by this event alone, which nobody may miss.
    bus.on('error', (error: Error) => deadline.reject(error));
    const call = async (
      path: string,
      iface: string,
      member: string,
      signature: string,
      body: readonly unknown[],
    ): Promise<unknown> => {
      const message = new Message({
        destination: systemd,
        path,
        interface: iface,
        member,
        signature,
        body: [...body],
      });
      const reply = await Promise.race([bus.call(message), deadline.promise]);
      return reply?.body[0];
    };
    const property = async (path: string, name: string): Promise<string> => {
      const iface = 'org.freedesktop.DBus.Properties';
      const value = await call(path, iface, 'Get', 'ss', [`${systemd}.Unit`, name]);
      return value instanceof Variant ? String(value.value) : 'unknown';
    };
    const states = await Promise.all(
      names.map(async (name) => {
        // Older than ListUnitsByNames, which an old dom0 does not have.
        const path = await call('/org/freedesktop/systemd1', `${systemd}.Manager`, 'LoadUnit', 's', [name]);
        const [load = '', active = '', sub = ''] = await Promise.all(
          ['LoadState', 'ActiveState', 'SubState'].map((each) => property(String(path), each)),
        );
        return [name, { load, active, sub }] as const;
      }),
    );
    return new Map(states);
  } finally {
    clearTimeout(timer);
    deadline.promise.catch(() => {});
    bus.disconnect();
  }
}
