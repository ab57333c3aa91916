/**
 * The process of a running disk: a qemu-storage-daemon that has the image's chain open, the locks of all its images,
 * and an NBD server for the disk on a socket that is root's.
 *
 * It keeps the locks from its start, whatever becomes of the call that started it; and no other process has them.
 */
import { closeSync, constants, existsSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitsFor } from '../../src/deadline.ts';
import type { DetachedProcess } from '../../src/detached-process.ts';
import { faultPoint } from '../../src/fault-point.ts';
import { listDiskProcesses, packLocks, servedImage } from '../../src/locks/kept-locks.ts';
import { listFolder, listProcesses, openFiles, readText } from '../../src/proc.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import { moveDiskToScope } from '../disk-scope.ts';
import { flushFailed } from '../flush.ts';
import { type BlockNode, blockNodes, diskNode, type InputOutput, leafNode } from './block-nodes.ts';
import type { LockedChain } from './chain.ts';
import { diskExport } from './export.ts';
import { listChainNodes } from './graph.ts';
import { type ProcessPlaces, processPlaces } from './places.ts';
import { QmpRefusal, withQmp } from './qmp.ts';

/** Milliseconds for a process to serve its disk, and for it to flush. */
const startLimit = 30_000;
const flushLimit = 60_000;

/** A process as it was started. */
export interface StartedProcess {
  readonly pid: number;
  readonly io: InputOutput;
}

/**
 * Starts the process of a disk, and waits until it serves it.
 *
 * @param chain whose locks it gets; they stay this process's, too.
 * @throws PluginError `ToolMissing`, `DiskFailed` with QEMU's words, `SystemdUnavailable`.
 */
export async function startProcess(
  key: string,
  chain: LockedChain,
  readOnly: boolean,
): Promise<StartedProcess> {
  const path = chain.images[0]?.path ?? '';
  waitsFor(`the storage of the image ${path}`);
  const direct = chain.images.every((image) => takesDirectIo(image.path));
  try {
    return await startWith(key, chain, readOnly, { direct, aio: direct ? 'native' : 'threads' });
  } catch (error) {
    // The kernel has only so many of these (fs.aio-max-nr), and QEMU may be built without.
    if (!(direct && error instanceof PluginError && /\bAIO\b|aio=native/.test(error.message))) throw error;
    return await startWith(key, chain, readOnly, { direct, aio: 'threads' });
  }
}

async function startWith(
  key: string,
  chain: LockedChain,
  readOnly: boolean,
  io: InputOutput,
): Promise<StartedProcess> {
  const path = chain.images[0]?.path ?? '';
  const nodes = blockNodes(chain.images, readOnly, io);
  const places = processPlaces(key);
  rmSync(places.folder, { recursive: true, force: true });
  mkdirSync(places.folder, { recursive: true, mode: 0o700 });
  const [alive, output] = [openSync(places.alive, 'w', 0o600), openSync(places.log, 'a', 0o600)];
  let started: DetachedProcess;
  try {
    using locks = packLocks(chain.descriptors);
    const inherit = [alive, ...locks.ends];
    const { startDetached } = await import('../../src/detached-process.ts');
    started = await startDetached('qemu-storage-daemon', commandLine(places, nodes, readOnly), {
      output,
      inherit,
    });
  } catch (error) {
    if (!(error instanceof Error && error.message.includes('is not installed'))) throw error;
    throw new PluginError(
      'ToolMissing',
      'qemu-storage-daemon is not installed on this host; install it (on Debian the package qemu-system-common).',
    );
  } finally {
    closeSync(alive);
    closeSync(output);
  }
  faultPoint('activate.started');
  try {
    await moveDiskToScope(key, started.pid, path);
    faultPoint('activate.moved');
    await waitUntilServed(started, places, path);
  } catch (error) {
    await killProcess(key, started.pid);
    throw error;
  }
  return { pid: started.pid, io };
}

function commandLine(
  { nbd, qmp }: ProcessPlaces,
  nodes: readonly BlockNode[],
  readOnly: boolean,
): readonly string[] {
  // The options of old, where a comma separates, take no JSON.
  const chardev = `socket,id=qmp,path=${qmp.replaceAll(',', ',,')},server=on,wait=off`;
  return [
    ...['--chardev', chardev, '--monitor', 'chardev=qmp'],
    ...nodes.flatMap((node) => ['--blockdev', JSON.stringify(node)]),
    ...['--nbd-server', JSON.stringify({ addr: { type: 'unix', path: nbd } })],
    ...['--export', JSON.stringify(diskExport(diskNode, readOnly))],
  ];
}

async function waitUntilServed(
  started: DetachedProcess,
  { qmp, log }: ProcessPlaces,
  path: string,
): Promise<void> {
  let ended = false;
  void started.ended.then(() => {
    ended = true;
  });
  const end = performance.now() + startLimit;
  while (!ended && performance.now() < end) {
    if (existsSync(qmp)) {
      try {
        // It greets once everything on its command line is done, the export last.
        return await withQmp(qmp, end - performance.now(), async () => {});
      } catch (error) {
        if (!(error instanceof PluginError && error.name === 'DiskUnresponsive')) throw error;
      }
    }
    await sleep(2);
  }
  const said = readFileSync(log, 'utf8').trim().split('\n').at(-1);
  const why = ended ? said || 'it ended without a word' : `it does not answer after ${startLimit / 1000} s`;
  throw new PluginError('DiskFailed', `QEMU does not serve the image ${path}: ${why}.`);
}

/**
 * The process of a disk; undefined where there is none. It is the one that has the disk's `alive` file open, also
 * when that has no name any more.
 *
 * @param hint the process that it was when it was started.
 */
export function findProcess(key: string, hint?: number): number | undefined {
  const { alive } = processPlaces(key);
  if (hint !== undefined && hasOpen(hint, alive)) return hint;
  return listProcesses().find((pid) => pid !== process.pid && hasOpen(pid, alive));
}

/** A disk that runs on this host. */
export interface RunningDisk {
  /** The path of its image. */
  readonly image: string;
  readonly pid: number;
}

/** All disks that processes of this host serve, also those of which no record is left. */
export function listRunningDisks(): readonly RunningDisk[] {
  return listDiskProcesses().flatMap((pid) => {
    const image = servedImage(pid);
    return image === undefined ? [] : [{ image, pid }];
  });
}

/** Whether a process is there for more than to end. */
export function isServing(key: string): boolean {
  const { folder, qmp } = processPlaces(key);
  // Without its folder it serves those that had come before someone removed it.
  return existsSync(qmp) || !existsSync(folder);
}

/**
 * Makes a disk's process write all that it was given to the storage.
 *
 * @param io as it was started with.
 * @throws PluginError `FlushFailed`, `DiskUnresponsive`.
 */
export async function flushProcess(
  key: string,
  path: string,
  io: InputOutput,
  timeout = flushLimit,
): Promise<void> {
  waitsFor(`the storage to take what was written to the image ${path}`, flushLimit);
  try {
    // QMP has no flush of its own; a node is flushed, and says how that went, before it gets new options.
    await withQmp(processPlaces(key).qmp, timeout, async (qmp) => {
      const [node = diskNode, backing = null] = await listChainNodes(qmp);
      const options = [leafNode(node, io, backing)];
      await qmp.execute('blockdev-reopen', { options });
    });
  } catch (error) {
    if (!(error instanceof QmpRefusal)) throw error;
    throw flushFailed(`the image ${path}`, error.message, error);
  }
}

/**
 * Ends a disk's process, which flushes what it has and closes its images, and waits until it is gone with its locks.
 *
 * @param timeout milliseconds.
 * @throws PluginError `DeviceInUse` where it takes longer; it goes on with it.
 */
export async function endProcess(key: string, pid: number, path: string, timeout: number): Promise<void> {
  waitsFor(`the process ${pid} of the image ${path} to end`, timeout + 10_000);
  const { nbd, qmp } = processPlaces(key);
  // From here on it is on its way to its end, for whoever comes next.
  for (const socket of [qmp, nbd]) rmSync(socket, { force: true });
  faultPoint('deactivate.ending');
  signal(key, pid, 'SIGTERM');
  if (await isGone(key, pid, timeout)) return;
  throw new PluginError(
    'DeviceInUse',
    `The process ${pid} (qemu-storage-daemon) of the image ${path} has not ended yet, for its storage does not take what it has to write; see to that storage and repeat the call.`,
  );
}

/** Removes the files of a disk's process, when it is gone. */
export function removeProcessFiles(key: string): void {
  rmSync(processPlaces(key).folder, { recursive: true, force: true });
}

/** Ends a disk's process at once, whatever it has not written. */
export async function killProcess(key: string, pid: number): Promise<void> {
  signal(key, pid, 'SIGKILL');
  await isGone(key, pid, 5_000);
}

function signal(key: string, pid: number, name: NodeJS.Signals): void {
  // Its number may be another process's by now.
  if (!hasOpen(pid, processPlaces(key).alive)) return;
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Whether a process is gone, with its locks, within a time: its files are closed before it is a zombie. */
export async function isGone(key: string, pid: number, timeout: number): Promise<boolean> {
  const { alive } = processPlaces(key);
  const end = performance.now() + timeout;
  for (let wait = 1; hasOpen(pid, alive) || isExiting(pid); wait = Math.min(wait * 1.5, 20)) {
    if (performance.now() >= end) return false;
    await sleep(wait);
  }
  return true;
}

/** Whether threads of a process have not ended yet, though it shows no open file any more. */
function isExiting(pid: number): boolean {
  const states = listFolder(`/proc/${pid}/task`).map((thread) => threadState(pid, thread));
  return states.some((state) => state !== undefined && state !== 'Z' && state !== 'X');
}

/** proc(5): the state is behind the name in brackets. */
function threadState(pid: number, thread: string): string | undefined {
  return /\) (\S)/.exec(readText(`/proc/${pid}/task/${thread}/stat`) ?? '')?.[1];
}

function hasOpen(pid: number, file: string): boolean {
  return openFiles(pid).some((target) => target === file || target === `${file} (deleted)`);
}

function takesDirectIo(path: string): boolean {
  try {
    closeSync(openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_DIRECT));
    return true;
  } catch {
    return false;
  }
}
