/**
 * The tapdisk of a running disk: it has the image's chain open, the locks of all its images, and an NBD server for the
 * disk.
 *
 * tap-ctl, and then tapdisk, inherit what keeps the locks. So these last exactly as long as tapdisk does.
 */
import { closeSync, existsSync, mkdirSync, openSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitsFor } from '../../src/deadline.ts';
import { faultPoint } from '../../src/fault-point.ts';
import { packLocks } from '../../src/locks/kept-locks.ts';
import { openFiles } from '../../src/proc.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import { moveDiskToScope } from '../disk-scope.ts';
import { flushFile } from '../flush.ts';
import { tolerate } from '../lossy.ts';
import type { LockedChain } from '../qemu/chain.ts';
import { findProcess, isGone, killProcess } from '../qemu/process.ts';
import {
  nbdSocket,
  programOf,
  readAnswer,
  removeOwnFiles,
  type TapdiskName,
  tapdiskPlaces,
} from './places.ts';
import { requireTapCtl, TapCtlError, tapCtl } from './tap-ctl.ts';

/** Bytes of a disk's name in a message to tapdisk, with its end (`TAPDISK_MESSAGE_MAX_PATH_LENGTH`). */
const nameLimit = 256;
/** Milliseconds for tap-ctl to start a tapdisk or to choose a minor, also for one whose caller has died. */
const startLimit = 20_000;
const flushLimit = 60_000;

/** A tapdisk, which may be on its way to serve a disk, or to its end. */
export interface Tapdisk {
  readonly pid: number;
  /** Undefined before it has one. */
  readonly minor: number | undefined;
}

/**
 * Starts the tapdisk of a disk, and has it serve the disk.
 *
 * @param chain whose locks it gets; they stay this process's, too.
 * @param onKnown told what is known of it so far, for whoever comes next.
 * @throws PluginError `ToolMissing`, `DiskFailed`, `ImageUnusable`, `SystemdUnavailable`.
 */
export async function startTapdisk(
  key: string,
  chain: LockedChain,
  readOnly: boolean,
  onKnown: (tapdisk: Tapdisk) => void,
): Promise<TapdiskName> {
  const path = chain.images[0]?.path ?? '';
  requireTapCtl();
  requireShort(path);
  waitsFor(`the storage of the image ${path}`);
  const places = tapdiskPlaces(key);
  rmSync(places.folder, { recursive: true, force: true });
  mkdirSync(places.folder, { recursive: true, mode: 0o700 });
  const alive = openSync(places.alive, 'w', 0o600);
  let pid: number;
  let minor: number;
  try {
    using locks = packLocks(chain.descriptors);
    pid = await ask('spawn', places.spawned, [alive, ...locks.ends], path);
    onKnown({ pid, minor: undefined });
    faultPoint('activate.started');
    await requireAlive(key, pid, path);
    await moveDiskToScope(key, pid, path);
    faultPoint('activate.moved');
    minor = await ask('allocate', places.minor, [alive], path);
    onKnown({ pid, minor });
    faultPoint('activate.allocated');
  } finally {
    closeSync(alive);
  }
  try {
    await tapCtl(['attach', ...named({ pid, minor })]);
    faultPoint('activate.attached');
    const how = readOnly ? ['-R'] : [];
    await tapCtl(['open', ...named({ pid, minor }), '-a', `vhd:${path}`, ...how]);
  } catch (error) {
    if (!(error instanceof TapCtlError)) throw error;
    await requireAlive(key, pid, path);
    throw diskFailed(path, error.message);
  }
  const socket = nbdSocket({ pid, minor });
  if (!existsSync(socket)) throw diskFailed(path, `it has no socket ${socket}`);
  faultPoint('activate.opened');
  symlinkSync(socket, places.nbd);
  return { pid, minor };
}

/**
 * The tapdisk of a disk; undefined where there is none. It is the process that has the disk's `alive` file open, once a
 * tap-ctl that is about to start it, for a call that has died, has ended.
 *
 * @param hint what was recorded of it.
 */
export async function findTapdisk(key: string, hint: Tapdisk | undefined): Promise<Tapdisk | undefined> {
  const end = performance.now() + startLimit;
  for (;;) {
    const pid = findProcess(key, hint?.pid);
    if (pid === undefined) return undefined;
    if (programOf(pid) !== 'tap-ctl' || performance.now() >= end) {
      return { pid, minor: hint?.minor ?? readAnswer(tapdiskPlaces(key).minor) ?? minorOf(pid) };
    }
    await sleep(20);
  }
}

/** Whether a tapdisk is there for more than to end. */
export function isTapdiskServing(key: string, { pid, minor }: Tapdisk): boolean {
  if (minor === undefined || !existsSync(nbdSocket({ pid, minor }))) return false;
  const { nbd, folder } = tapdiskPlaces(key);
  // Without its folder it serves those that had come before someone removed it.
  return existsSync(nbd) || !existsSync(folder);
}

/**
 * Has a tapdisk write all that it was given, and ends it with its locks.
 *
 * @param flushes whether the disk could be written: no, or yes, or `lossy` where a failed flush is only logged.
 * @param timeout milliseconds for it to close the disk.
 * @throws PluginError `DeviceInUse` where it takes longer: it goes on with it; `FlushFailed`.
 */
export async function endTapdisk(
  key: string,
  { pid, minor }: Tapdisk,
  path: string,
  flushes: 'no' | 'yes' | 'lossy',
  timeout: number,
): Promise<void> {
  waitsFor(`the process ${pid} of the image ${path} to end`, timeout + flushLimit);
  const places = tapdiskPlaces(key);
  if (minor !== undefined && readAnswer(places.minor) === undefined) {
    // Someone removed what is known of it, and its minor is to be freed when it is gone.
    mkdirSync(places.folder, { recursive: true, mode: 0o700 });
    writeFileSync(places.minor, `${minor}\n`, { mode: 0o600 });
  }
  // From here on it is on its way to its end, for whoever comes next.
  rmSync(places.nbd, { force: true });
  // With `lossy` it is killed all the same: nobody would do that later, and it has the image's lock.
  if (minor !== undefined) {
    await tolerate(flushes === 'lossy', () => closeDisk({ pid, minor }, path, timeout));
  }
  if (flushes !== 'no') await tolerate(flushes === 'lossy', () => flushImage(path, flushes === 'lossy'));
  // It would end by itself, a second later.
  await killProcess(key, pid);
  if (!(await isGone(key, pid, timeout))) throw stillClosing(pid, path);
  removeOwnFiles(pid);
}

/** Removes the files of a disk's tapdisk when it is gone, and frees its minor. */
export async function removeTapdiskFiles(key: string, hint: Tapdisk | undefined): Promise<void> {
  const { folder, spawned, minor: answered } = tapdiskPlaces(key);
  const pid = hint?.pid ?? readAnswer(spawned);
  const minor = hint?.minor ?? readAnswer(answered);
  if (pid !== undefined) removeOwnFiles(pid);
  if (minor !== undefined) {
    try {
      await tapCtl(['free', '-m', String(minor)]);
    } catch (error) {
      // Someone else has freed it; a tapdisk of theirs may have it by now.
      if (!(error instanceof TapCtlError)) throw error;
    }
  }
  rmSync(folder, { recursive: true, force: true });
}

/**
 * Has a tapdisk hold its disk: what it has is written, and it has no image open until {@link unpauseTapdisk}.
 *
 * @throws TapCtlError.
 */
export async function pauseTapdisk(name: TapdiskName): Promise<void> {
  await tapCtl(['pause', ...named(name)]);
}

/**
 * Has a tapdisk go on with a disk that it held.
 *
 * @param path of the image from now on, with all that it builds on.
 * @throws TapCtlError.
 */
export async function unpauseTapdisk(name: TapdiskName, path: string): Promise<void> {
  requireShort(path);
  await tapCtl(['unpause', ...named(name), '-a', `vhd:${path}`]);
}

function named({ pid, minor }: TapdiskName): readonly string[] {
  return ['-p', String(pid), '-m', String(minor)];
}

/** Has tap-ctl answer with a number, in a file that is whole also when this process dies meanwhile. */
async function ask(
  command: 'spawn' | 'allocate',
  file: string,
  inherit: readonly number[],
  path: string,
): Promise<number> {
  const { startDetached } = await import('../../src/detached-process.ts');
  const output = openSync(file, 'w', 0o600);
  const done = new AbortController();
  try {
    const started = await startDetached('tap-ctl', [command], { output, inherit });
    // Also what keeps this process waiting, for a detached one does not.
    const late = sleep(startLimit, 'too long', { signal: done.signal }).catch(() => 'too long');
    const ended = await Promise.race([started.ended, late]);
    const answer = ended === 0 ? readAnswer(file) : undefined;
    if (answer !== undefined) return answer;
    const why = ended === 'too long' ? 'took too long' : `failed with ${ended}`;
    throw diskFailed(path, `tap-ctl ${command} ${why}`);
  } finally {
    done.abort();
    closeSync(output);
  }
}

/** tap-ctl also answers the number of a tapdisk that dies at once. */
async function requireAlive(key: string, pid: number, path: string): Promise<void> {
  // As long as it can take to be refused its memory, which it wants to lock.
  const end = performance.now() + 50;
  do {
    if (findProcess(key, pid) !== pid) {
      throw diskFailed(
        path,
        'it ended right after its start; see syslog, and whether it may lock memory (RLIMIT_MEMLOCK)',
      );
    }
    await sleep(10);
  } while (performance.now() < end);
}

async function closeDisk(name: TapdiskName, path: string, timeout: number): Promise<void> {
  for (const args of [['close', '-t', String(Math.ceil(timeout / 1000))], ['detach']]) {
    const [command = '', ...options] = args;
    try {
      await tapCtl([command, ...named(name), ...options], timeout + 1_000);
    } catch (error) {
      if (!(error instanceof TapCtlError)) throw error;
      // A disk that is not open, or not even attached, has nothing to close.
      if (command === 'close' && isOpen(name)) throw stillClosing(name.pid, path);
    }
  }
}

/** Whether a tapdisk has its disk's image open still, and so may have to write something. */
function isOpen(name: TapdiskName): boolean {
  return existsSync(`/proc/${name.pid}`) && existsSync(nbdSocket(name));
}

async function flushImage(path: string, lossy: boolean): Promise<void> {
  // Else its volume is gone.
  if (existsSync(path)) await flushFile(path, lossy);
}

/** A tapdisk keeps the file of the minor that it has open. */
function minorOf(pid: number): number | undefined {
  const [minor] = openFiles(pid).flatMap((file) => /\/tapdisk-(\d+)$/.exec(file)?.[1] ?? []);
  return minor === undefined ? undefined : Number(minor);
}

function requireShort(path: string): void {
  if (Buffer.byteLength(`vhd:${path}`) < nameLimit) return;
  throw new PluginError(
    'ImageUnusable',
    `The image ${path} has a path that is too long for tapdisk, which takes ${nameLimit - 'vhd:'.length - 1} bytes; mount its SR at a shorter one.`,
  );
}

function diskFailed(path: string, why: string): PluginError {
  return new PluginError('DiskFailed', `tapdisk does not serve the image ${path}: ${why}.`);
}

function stillClosing(pid: number, path: string): PluginError {
  return new PluginError(
    'DeviceInUse',
    `The process ${pid} (tapdisk) of the image ${path} has not closed it yet, for someone still uses its disk, or its storage does not take what it has to write; see to those and repeat the call.`,
  );
}
