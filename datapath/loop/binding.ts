/**
 * Loop devices bound to files that we opened.
 *
 * losetup(8) would open the file by itself. Here the very descriptor that holds a file's flock(2) goes
 * into LOOP_CONFIGURE: the loop device keeps that open file, and so the lock lives exactly as long as the
 * device is bound: no process has to hold it, and none that dies can lose it.
 */
import { closeSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { constants } from 'node:os';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitsFor } from '../../src/deadline.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import { describeHolders } from '../block-device/holders.ts';
import { freeLoop, loopPath, openLoop } from './control.ts';
import { type LoopStatus, loopFlags, loopIoctls, loopRequests } from './ioctls.ts';

const { EBUSY, EINVAL, ENOTTY, ENXIO } = constants.errno;

/** The block size that guests know disks by; where the storage's is larger, the kernel's page cache is between. */
const blockSize = 512;

/** How often a device that another process was quicker to take is replaced by a next one. */
const maxAttempts = 256;

/** A loop device that serves a file of ours. */
export interface LoopBinding {
  readonly number: number;
  readonly readOnly: boolean;
  /** Whether I/O passes by the page cache. */
  readonly direct: boolean;
  /** Asked to let go, and kept only by those who have it open. */
  readonly clearing: boolean;
}

/** How a loop device of ours is recognised: by the name it was bound with. */
export interface LoopIdentity {
  /** At most 63 bytes; not the file's path. */
  readonly name: string;
  /** The file. */
  readonly path: string;
}

/**
 * Binds a free loop device to an open file.
 *
 * The device is never cleared by itself (LO_FLAGS_AUTOCLEAR is off). I/O is direct where the file's
 * filesystem allows it for blocks of 512 bytes.
 *
 * @param image descriptor of the file, with its lock; may be closed afterwards.
 * @param onChosen told the device's number before it is bound, so that a record can lead to it.
 */
export async function bindLoop(
  image: number,
  name: string,
  readOnly: boolean,
  onChosen: (number: number) => void,
): Promise<number> {
  for (let attempt = 0; attempt < maxAttempts; attempt += 1) {
    const number = freeLoop();
    onChosen(number);
    const result = tryBind(number, image, name, readOnly);
    if (result === 0) {
      await dropPartitions(number);
      return number;
    }
    if (result !== -EBUSY) {
      throw new PluginError(
        'LoopFailed',
        `The kernel did not bind ${loopPath(number)} to the image (errno ${-result}).`,
      );
    }
    // Someone else was quicker; chance keeps two calls from meeting again and again.
    await sleep(Math.random() * 4);
  }
  throw new PluginError(
    'NoFreeLoop',
    `Other processes took ${maxAttempts} free loop devices first; try again.`,
  );
}

/** A device that is let go keeps the partitions that someone told the kernel of: they would show this image. */
async function dropPartitions(number: number): Promise<void> {
  const partitions = new RegExp(`^loop${number}p[0-9]+$`);
  if (!readdirSync(`/sys/block/loop${number}`).some((entry) => partitions.test(entry))) return;
  const { run } = await import('../../src/commands.ts');
  // One that is in use since before stays, and its users keep it from no one but themselves.
  await run('partx', ['--delete', loopPath(number)], { expect: [0, 1] });
}

function tryBind(number: number, image: number, name: string, readOnly: boolean): number {
  const device = openLoop(number, readOnly ? 'r' : 'r+');
  try {
    const flags = loopFlags.directIo | (readOnly ? loopFlags.readOnly : 0);
    const result = loopIoctls().configure(device, image, name, blockSize, flags);
    return result === -EINVAL || result === -ENOTTY ? bindInSteps(device, image, name) : result;
  } finally {
    closeSync(device);
  }
}

/**
 * Binds as kernels before 5.8 need it; the device is read-only where one of the descriptors is.
 *
 * @returns 0 or a negative errno.
 */
export function bindInSteps(device: number, image: number, name: string): number {
  const loop = loopIoctls();
  const bound = loop.control(device, loopRequests.setFd, image);
  if (bound < 0) return bound;
  const named = loop.setStatus(device, name, 0);
  if (named < 0) {
    loop.control(device, loopRequests.clearFd, 0);
    return named;
  }
  // 512 is the default, and where direct I/O is refused the page cache is used.
  loop.control(device, loopRequests.setDirectIo, 1);
  return 0;
}

/**
 * Gives a device the size that its file has by now.
 *
 * @throws PluginError `LoopFailed`.
 */
export function growLoop(number: number): void {
  const device = openLoop(number, 'r');
  try {
    const result = loopIoctls().control(device, loopRequests.setCapacity, 0);
    if (result >= 0) return;
    throw new PluginError(
      'LoopFailed',
      `The kernel does not let ${loopPath(number)} grow (errno ${-result}).`,
    );
  } finally {
    closeSync(device);
  }
}

/** Finds out whether a loop device serves a file of ours; undefined if not. */
export async function bindingOf(number: number, identity: LoopIdentity): Promise<LoopBinding | undefined> {
  const status = await settledStatus(number);
  if (status === undefined || !isOurs(status, identity)) return undefined;
  return {
    number,
    readOnly: (status.flags & loopFlags.readOnly) !== 0,
    direct: (status.flags & loopFlags.directIo) !== 0,
    clearing: (status.flags & loopFlags.autoclear) !== 0,
  };
}

/** Searches all loop devices for one that serves a file of ours. */
export async function findBinding(identity: LoopIdentity): Promise<LoopBinding | undefined> {
  const file = basename(identity.path);
  for (const entry of readdirSync('/sys/block')) {
    const number = /^loop([0-9]+)$/.exec(entry)?.[1];
    if (number === undefined) continue;
    // Only those that look like it are asked: the ioctl stats the file, which may be on storage that hangs.
    const backing = backingFile(Number(number))?.replace(/ \(deleted\)$/, '');
    if (backing === undefined || basename(backing) !== file) continue;
    const binding = await bindingOf(Number(number), identity);
    if (binding !== undefined) return binding;
  }
  return undefined;
}

/**
 * Lets go of the file, and waits until nobody keeps the device open: only then is the lock gone.
 *
 * @param timeout milliseconds.
 * @throws PluginError `DeviceInUse` saying by whom; the kernel lets go when the last of them closes it.
 */
export async function unbindLoop(number: number, identity: LoopIdentity, timeout: number): Promise<void> {
  waitsFor(`the kernel to let go of ${loopPath(number)}`);
  const end = performance.now() + timeout;
  for (let wait = 1; ; wait = Math.min(wait * 1.5, 50)) {
    clearIfOurs(number, identity);
    if ((await bindingOf(number, identity)) === undefined) return;
    if (performance.now() >= end) {
      throw new PluginError(
        'DeviceInUse',
        `${loopPath(number)} of the image ${identity.path} is still in use by ${describeHolders(`loop${number}`)}; end that use and repeat the call.`,
      );
    }
    await sleep(wait);
  }
}

/**
 * Asks for the device to be cleared. Looked at and cleared through one descriptor: while that is open, a
 * device that its last user closes cannot become another file's.
 */
function clearIfOurs(number: number, identity: LoopIdentity): void {
  const device = openLoop(number, 'r');
  try {
    const status = loopIoctls().getStatus(device);
    if (typeof status === 'number' || !isOurs(status, identity)) return;
    const result = loopIoctls().control(device, loopRequests.clearFd, 0);
    if (result < 0 && result !== -ENXIO) {
      throw new PluginError('LoopFailed', `The kernel did not clear ${loopPath(number)} (errno ${-result}).`);
    }
  } finally {
    closeSync(device);
  }
}

function isOurs(status: LoopStatus, { name, path }: LoopIdentity): boolean {
  if (status.name !== '') return status.name === name;
  // A bind in several steps died before the name was set.
  const file = statSync(path, { bigint: true, throwIfNoEntry: false });
  return status.device === file?.dev && status.inode === file.ino;
}

/** A device's status, once it is neither being bound nor being cleared. */
async function settledStatus(number: number): Promise<LoopStatus | undefined> {
  for (let attempt = 0; attempt < 400; attempt += 1) {
    if (backingFile(number) === undefined) return undefined;
    const device = openLoop(number, 'r');
    let status: LoopStatus | number;
    try {
      status = loopIoctls().getStatus(device);
    } finally {
      closeSync(device);
    }
    if (typeof status !== 'number') return status;
    if (status !== -ENXIO) {
      throw new PluginError(
        'LoopFailed',
        `The kernel does not say what ${loopPath(number)} serves (errno ${-status}).`,
      );
    }
    await sleep(5);
  }
  throw new PluginError(
    'LoopFailed',
    `${loopPath(number)} is neither bound nor free for two seconds; see the kernel's log.`,
  );
}

/** The path of the file behind a loop device as the kernel knows it, undefined where there is none. */
function backingFile(number: number): string | undefined {
  try {
    return readFileSync(`/sys/block/loop${number}/loop/backing_file`, 'utf8').replace(/\n$/, '');
  } catch {
    return undefined;
  }
}
