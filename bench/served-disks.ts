/** Disks that are served: by our datapath plugins, and by what a host would otherwise have. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { datapathCaller } from '../test/support/xapi.ts';
import type { FioDisk } from './fio.ts';
import { timeProcess } from './whole-process.ts';

/** A disk, until it is disposed of. */
export interface ServedDisk extends AsyncDisposable {
  readonly disk: FioDisk;
  /** What serves it, unless the kernel does. */
  readonly pid?: number;
}

const domain = '1';

/**
 * Activates an image by a datapath plugin as installed.
 *
 * @param environment of the plugin, with the folder of its records.
 * @returns the device of a raw image, the NBD socket of another.
 */
export async function activateDisk(
  scheme: 'raw+file' | 'qcow2+file' | 'vhd+file',
  image: string,
  environment: Readonly<Record<string, string>>,
): Promise<ServedDisk> {
  const call = datapathCaller(scheme, environment);
  const uri = `${scheme}://${image}`;
  const { implementations } = await call('Datapath.attach', { uri, domain });
  await call('Datapath.activate', { uri, domain });
  const disks = implementations.flatMap(([kind, means]): readonly FioDisk[] => {
    if (kind === 'BlockDevice' && scheme === 'raw+file') return [{ path: means.path }];
    const [, socket, name] = (kind === 'Nbd' && /^nbd:unix:(.*):exportname=(.*)$/.exec(means.uri)) || [];
    return socket === undefined ? [] : [{ uri: nbdUri(socket, name ?? '') }];
  });
  return {
    disk: disks[0] as FioDisk,
    ...(scheme === 'qcow2+file' && { pid: findServer(image) }),
    [Symbol.asyncDispose]: async () => {
      await call('Datapath.deactivate', { uri, domain });
      await call('Datapath.detach', { uri, domain });
    },
  };
}

/** Binds a loop device with direct I/O, as losetup does. */
export function bindLoop(image: string): ServedDisk {
  const { stdout } = timeProcess('losetup', ['--find', '--show', '--direct-io=on', image]);
  const path = stdout.trim();
  return {
    disk: { path },
    [Symbol.asyncDispose]: async () => {
      timeProcess('losetup', ['--detach', path]);
    },
  };
}

/** Starts a qemu-nbd on a qcow2 image, with what is good for its speed, and waits until it serves. */
export async function startQemuNbd(image: string, socket: string): Promise<ServedDisk> {
  const name = 'disk';
  // Both, and not only the first, for more than one client, before and after another.
  const sharing = ['--persistent', '--shared=0'];
  const speed = ['--cache=none', '--aio=native', '--discard=unmap'];
  const child = spawn('qemu-nbd', [...sharing, ...speed, '-f', 'qcow2', '-k', socket, '-x', name, image], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  // It also says when a client leaves without a word, as fio's does.
  const said: Buffer[] = [];
  child.stderr.on('data', (chunk: Buffer) => said.push(chunk));
  const ended = new Promise((resolve) => child.once('exit', resolve));
  while (!(await greets(socket))) {
    if (!isRunning(child)) throw new Error(`qemu-nbd does not serve ${image}: ${Buffer.concat(said)}`);
    await sleep(1);
  }
  return {
    disk: { uri: nbdUri(socket, name) },
    pid: child.pid as number,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGTERM');
      await ended;
      rmSync(socket, { force: true });
    },
  };
}

/** The processor time that the threads of a process have had, in microseconds. */
export function processorTime(pid: number): number {
  const times = readdirSync(`/proc/${pid}/task`).map((thread) =>
    // The scheduler's own, in nanoseconds: those of stat are in ticks.
    Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]),
  );
  return times.reduce((sum, time) => sum + time, 0) / 1000;
}

/** The storage daemon that has an image open. */
function findServer(image: string): number {
  const found = readdirSync('/proc').find((name) => {
    if (!/^[0-9]+$/.test(name)) return false;
    try {
      const [command, ...args] = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0');
      return command === 'qemu-storage-daemon' && args.some((arg) => arg.includes(JSON.stringify(image)));
    } catch {
      // It has ended meanwhile.
      return false;
    }
  });
  if (found === undefined) throw new Error(`no qemu-storage-daemon serves ${image}`);
  return Number(found);
}

/** Whether an NBD server serves: qemu-nbd listens before it heeds a SIGTERM, but greets nobody until then. */
async function greets(socket: string): Promise<boolean> {
  const connection = connect(socket);
  try {
    await once(connection, 'data', { signal: AbortSignal.timeout(5000) });
    return true;
  } catch {
    return false;
  } finally {
    connection.destroy();
  }
}

function isRunning({ exitCode, signalCode, pid }: ChildProcess): boolean {
  return pid !== undefined && exitCode === null && signalCode === null;
}

function nbdUri(socket: string, name: string): string {
  return `nbd+unix:///${name}?socket=${encodeURIComponent(socket)}`;
}
