/** Talks to systemd's manager over the system bus (org.freedesktop.systemd1). */
import type { Message as DbusMessage } from 'dbus-next';

/** A job that systemd has finished, as its signal JobRemoved says. */
export interface FinishedJob {
  /** The job's object path. */
  readonly path: string;
  /** `done`, `failed`, `timeout`, `dependency`, `canceled`, ... */
  readonly result: string;
}

/** A property of a transient unit: its name, and the D-Bus signature and value of what it holds. */
export type TransientProperty = readonly [name: string, signature: string, value: unknown];

/** systemd's manager, for as long as one connection lasts. Whatever is asked fails once the deadline is over. */
export interface Systemd {
  /** Calls a method of the manager; answers the first value of its reply. */
  call(member: string, signature?: string, body?: readonly unknown[]): Promise<unknown>;
  /** Starts a unit that has no file, and goes when it ends; answers its job's object path. */
  startTransient(name: string, properties: readonly TransientProperty[]): Promise<unknown>;
  /** The object path of a unit, which is loaded if need be. */
  loadUnit(name: string): Promise<string>;
  /** A property of a unit, as text. */
  unitProperty(path: string, name: string): Promise<string>;
  /** From its answer on, jobs that end are told to `listener`. */
  onJobRemoved(listener: (job: FinishedJob) => void): Promise<void>;
}

const service = 'org.freedesktop.systemd1';
const manager = {
  destination: service,
  path: '/org/freedesktop/systemd1',
  interface: `${service}.Manager`,
} as const;

/**
 * Connects to systemd, and disconnects however `use` ends.
 *
 * @param timeout milliseconds for all of it.
 * @throws Error when there is no system bus, systemd is not on it, or an answer does not come in time;
 *   DBusError with systemd's words when it refuses something.
 */
export async function withSystemd<T>(timeout: number, use: (systemd: Systemd) => Promise<T>): Promise<T> {
  const { systemBus, Message, Variant, MessageType } = await import('dbus-next').then(
    (module) => module.default,
  );
  const bus = systemBus();
  const failure = Promise.withResolvers<never>();
  failure.promise.catch(() => {});
  const timer = setTimeout(() => failure.reject(new Error(`no answer within ${timeout} ms`)), timeout);
  try {
    // A bus that is not there tells so by this event alone, which nobody may miss.
    bus.on('error', (error: Error) => failure.reject(error));
    const send = async (message: DbusMessage): Promise<unknown> =>
      (await Promise.race([bus.call(message), failure.promise]))?.body[0];
    const call: Systemd['call'] = (member, signature = '', body = []) =>
      send(new Message({ ...manager, member, signature, body: [...body] }));
    return await use({
      call,
      startTransient(name, properties) {
        const values = properties.map(([property, signature, value]) => [
          property,
          new Variant(signature, value),
        ]);
        return call('StartTransientUnit', 'ssa(sv)a(sa(sv))', [name, 'fail', values, []]);
      },
      // Older than ListUnitsByNames, which an old dom0 does not have.
      async loadUnit(name) {
        return String(await call('LoadUnit', 's', [name]));
      },
      async unitProperty(path, name) {
        const value = await send(
          new Message({
            destination: service,
            path,
            interface: 'org.freedesktop.DBus.Properties',
            member: 'Get',
            signature: 'ss',
            body: [`${service}.Unit`, name],
          }),
        );
        return value instanceof Variant ? String(value.value) : 'unknown';
      },
      async onJobRemoved(listener) {
        bus.on('message', (message: DbusMessage) => {
          if (message.type !== MessageType.SIGNAL || message.member !== 'JobRemoved') return;
          const [, path, , result] = message.body;
          listener({ path: String(path), result: String(result) });
        });
        await send(
          new Message({
            destination: 'org.freedesktop.DBus',
            path: '/org/freedesktop/DBus',
            interface: 'org.freedesktop.DBus',
            member: 'AddMatch',
            signature: 's',
            body: [`type='signal',sender='${service}',interface='${manager.interface}',member='JobRemoved'`],
          }),
        );
        // systemd sends the signals of its jobs to nobody but its subscribers.
        await call('Subscribe');
      },
    });
  } finally {
    clearTimeout(timer);
    bus.disconnect();
  }
}
