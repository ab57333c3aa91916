/** A bus of one's own with a systemd on it that is not one: it knows some units, and answers as asked. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import dbus from 'dbus-next';

/** LoadState, ActiveState and SubState of a unit. */
export type FakeUnit = readonly [load: string, active: string, sub: string];

export interface FakeSystemdOptions {
  /** Whether it never answers. */
  readonly silent?: boolean;
  readonly units?: Readonly<Record<string, FakeUnit>>;
  /**
   * What becomes of a job: it changes its unit and is told to those who subscribed (`told`), it does so but
   * its end is never told (`untold`), it fails (`failed`), or nothing ever happens (`stuck`).
   */
  readonly jobs?: 'told' | 'untold' | 'failed' | 'stuck';
}

export interface FakeSystemd extends AsyncDisposable {
  /** For DBUS_SYSTEM_BUS_ADDRESS. */
  readonly address: string;
  /** The manager's methods that were called, with their first argument. */
  readonly calls: readonly string[];
}

const usual: Readonly<Record<string, FakeUnit>> = {
  'corosync.service': ['loaded', 'active', 'running'],
  'dlm.service': ['loaded', 'failed', 'failed'],
};

export async function startFakeSystemd(options: FakeSystemdOptions = {}): Promise<FakeSystemd> {
  const { silent = false, units: given = usual, jobs = 'told' } = options;
  const units = new Map(Object.entries(given));
  const calls: string[] = [];
  const folder = mkdtempSync(join(tmpdir(), 'bus-'));
  const address = `unix:path=${join(folder, 'bus')}`;
  const daemon = spawn('dbus-daemon', ['--session', '--nofork', '--print-address', `--address=${address}`], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  await once(daemon.stdout, 'data');
  const bus = dbus.sessionBus({ busAddress: address });
  let subscribed = false;
  let job = 0;

  const runJob = (name: string, active: FakeUnit): string => {
    job += 1;
    const path = `/org/freedesktop/systemd1/job/${job}`;
    const result = jobs === 'failed' ? 'failed' : 'done';
    if (jobs !== 'stuck') units.set(name, result === 'failed' ? ['loaded', 'failed', 'failed'] : active);
    if (subscribed && (jobs === 'told' || jobs === 'failed')) {
      // Before the answer, as a quick job's is.
      const signal = dbus.Message.newSignal(
        '/org/freedesktop/systemd1',
        'org.freedesktop.systemd1.Manager',
        'JobRemoved',
        'uoss',
        [job, path, name, result],
      );
      bus.send(signal);
    }
    return path;
  };

  const answer = (member: string, body: readonly string[], path: string): readonly [string, unknown[]] => {
    const [first = '', second = ''] = body;
    switch (member) {
      case 'Subscribe':
        subscribed = true;
        return ['', []];
      case 'LoadUnit':
        return ['o', [unitPath(first)]];
      case 'StartUnit':
        return ['o', [runJob(first, ['loaded', 'active', 'running'])]];
      case 'StopUnit':
        return ['o', [runJob(first, ['loaded', 'inactive', 'dead'])]];
      case 'Get': {
        const state = [...units].find(([name]) => path === unitPath(name))?.[1] ?? [
          'not-found',
          'inactive',
          'dead',
        ];
        const value = state[['LoadState', 'ActiveState', 'SubState'].indexOf(second)] ?? '';
        return ['v', [new dbus.Variant('s', value)]];
      }
      default:
        return ['', []];
    }
  };

  bus.addMethodHandler((message: dbus.Message) => {
    if (message.interface === 'org.freedesktop.DBus' || silent) return silent;
    const member = message.member ?? '';
    if (message.interface === 'org.freedesktop.systemd1.Manager') {
      calls.push([member, ...message.body.slice(0, 1)].join(' '));
    }
    const [signature, body] = answer(member, message.body as string[], message.path ?? '');
    bus.send(dbus.Message.newMethodReturn(message, signature, body));
    return true;
  });
  await bus.requestName('org.freedesktop.systemd1', 0);
  return {
    address,
    calls,
    async [Symbol.asyncDispose]() {
      bus.disconnect();
      const exited = once(daemon, 'exit');
      daemon.kill();
      await exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function unitPath(name: string): string {
  return `/org/freedesktop/systemd1/unit/${name.replaceAll('.', '_2e').replaceAll('-', '_2d')}`;
}
