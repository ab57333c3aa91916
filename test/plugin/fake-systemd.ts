/** A bus of one's own with a systemd on it that is not one: it knows two units, and answers as asked. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import dbus from 'dbus-next';

const units: Readonly<Record<string, readonly string[]>> = {
  'corosync.service': ['loaded', 'active', 'running'],
  'dlm.service': ['loaded', 'failed', 'failed'],
};

export interface FakeSystemd extends AsyncDisposable {
  /** For DBUS_SYSTEM_BUS_ADDRESS. */
  readonly address: string;
}

/** @param silent whether it never answers. */
export async function startFakeSystemd(silent = false): Promise<FakeSystemd> {
  const folder = mkdtempSync(join(tmpdir(), 'bus-'));
  const address = `unix:path=${join(folder, 'bus')}`;
  const daemon = spawn('dbus-daemon', ['--session', '--nofork', '--print-address', `--address=${address}`], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  await once(daemon.stdout, 'data');
  const bus = dbus.sessionBus({ busAddress: address });
  bus.addMethodHandler((message: dbus.Message) => {
    if (message.interface === 'org.freedesktop.DBus' || silent) return silent;
    const [first = '', second = ''] = message.body as string[];
    if (message.member === 'LoadUnit') {
      const path = `/org/freedesktop/systemd1/unit/${first.replace('.', '_2e').replaceAll('-', '_2d')}`;
      bus.send(dbus.Message.newMethodReturn(message, 'o', [path]));
      return true;
    }
    const name = Object.keys(units).find((unit) => message.path.endsWith(unit.replace('.', '_2e')));
    const state = (name === undefined ? undefined : units[name]) ?? ['not-found', 'inactive', 'dead'];
    const value = state[['LoadState', 'ActiveState', 'SubState'].indexOf(second)] ?? '';
    bus.send(dbus.Message.newMethodReturn(message, 'v', [new dbus.Variant('s', value)]));
    return true;
  });
  await bus.requestName('org.freedesktop.systemd1', 0);
  return {
    address,
    async [Symbol.asyncDispose]() {
      bus.disconnect();
      const exited = once(daemon, 'exit');
      daemon.kill();
      await exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
