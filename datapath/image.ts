/** Image files, and the lock on an image that is its activation. */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  type Stats,
} from 'node:fs';
import { waitsFor } from '../src/deadline.ts';
import { hostUuid } from '../src/host-uuid.ts';
import { lock } from '../src/locks/flock.ts';
import { localLockHolder, processName } from '../src/locks/holder.ts';
import { posix } from '../src/posix/index.ts';
import { NamedError, PluginError } from '../src/smapi/errors.ts';

/**
 * How long the lock is tried for, in milliseconds. On gfs2 a first try can fail only because another
 * host still caches a lock that it gave up.
 */
const lockTimeout = 1_000;

/** The extended attribute that names the host which activated an image last: only for messages. */
const hostAttribute = 'user.gfs2-sr.host';

/**
 * Checks that an image is there and can be served.
 *
 * @throws PluginError `ImageMissing`, `NotAnImage`.
 */
export function checkImage(path: string): void {
  waitsFor(`the storage of the image ${path}`);
  let found: Stats;
  try {
    found = lstatSync(path);
  } catch (error) {
    throw openFailed(path, error);
  }
  checkServable(path, found);
}

/**
 * Opens an image and locks it: exclusively, or shared with others that share.
 *
 * Whoever keeps the descriptor (a loop device too) keeps the lock.
 *
 * @returns the descriptor.
 * @throws NamedError `Activated_on_another_host`; PluginError `VolumeInUse`, `ImageMissing`, `NotAnImage`.
 */
export async function openLockedImage(path: string, readOnly: boolean, shared: boolean): Promise<number> {
  checkImage(path);
  let image: number;
  try {
    image = openSync(path, (readOnly ? constants.O_RDONLY : constants.O_RDWR) | constants.O_NOFOLLOW);
  } catch (error) {
    throw openFailed(path, error);
  }
  try {
    await lockImage(image, path, shared);
    // Only what holds under the lock counts: until then its volume could be resized or destroyed.
    const found = fstatSync(image);
    if (found.nlink === 0) throw missing(path);
    checkServable(path, found);
    recordHost(image);
    return image;
  } catch (error) {
    closeSync(image);
    throw error;
  }
}

function checkServable(path: string, found: Stats): void {
  if (!found.isFile()) throw new PluginError('NotAnImage', `${path} is not a regular file.`);
  if (found.size % 512 !== 0) {
    throw new PluginError(
      'NotAnImage',
      `${path} has ${found.size} bytes, which is no multiple of 512: it was cut, or is no raw disk image.`,
    );
  }
}

function missing(path: string): PluginError {
  return new PluginError('ImageMissing', `There is no image ${path}; is its SR attached on this host?`);
}

function openFailed(path: string, error: unknown): PluginError {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return missing(path);
  }
  return new PluginError('ImageUnusable', `The image ${path} cannot be opened (${code ?? error}).`, {
    cause: error,
  });
}

async function lockImage(image: number, path: string, shared: boolean): Promise<void> {
  try {
    await lock(image, shared ? 'shared' : 'exclusive', lockTimeout, `the image ${path}`);
  } catch (error) {
    if (error instanceof PluginError && error.name === 'LockTimeout') throw refusal(image, path);
    throw error;
  }
}

function refusal(image: number, path: string): NamedError | PluginError {
  const local = localHolder(image, path);
  if (local !== undefined) {
    return new PluginError('VolumeInUse', `The image ${path} is in use on this host, locked by ${local}.`);
  }
  const host = posix().getXattr(image, hostAttribute);
  if (typeof host === 'string' && host !== hostUuid()) {
    return new NamedError(
      'Activated_on_another_host',
      host,
      `The image ${path} is in use on the host ${host}; deactivate it there first.`,
    );
  }
  return new PluginError(
    'VolumeInUse',
    `The image ${path} is locked by another host, or by a process that this host does not show; deactivate it there first.`,
  );
}

/** Who on this host has locked the image. */
function localHolder(image: number, path: string): string | undefined {
  const pid = localLockHolder(image);
  if (pid === undefined) return undefined;
  // A loop device keeps its lock under the number of the process that made it, which may be another's now.
  return hasOpen(pid, path) ? `process ${pid} (${processName(pid)})` : 'a loop device';
}

function hasOpen(pid: string, path: string): boolean {
  try {
    const file = realpathSync(path);
    return readdirSync(`/proc/${pid}/fd`).some((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`) === file);
  } catch {
    return false;
  }
}

/** Leaves this host's uuid on a locked image; filesystems without extended attributes lose only a message. */
function recordHost(image: number): void {
  const host = hostUuid();
  if (host !== undefined && posix().getXattr(image, hostAttribute) !== host) {
    posix().setXattr(image, hostAttribute, host);
  }
}
