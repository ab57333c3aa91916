/** Image files, and the lock on an image that is its activation. */
import { closeSync, constants, fstatSync, lstatSync, openSync, type Stats } from 'node:fs';
import { waitsFor } from '../src/deadline.ts';
import { borrowLock } from '../src/locks/borrow.ts';
import { lock } from '../src/locks/flock.ts';
import { lockFromBackground } from '../src/locks/giving-way.ts';
import { findImageHolder } from '../src/locks/image-holder.ts';
import { NamedError, PluginError } from '../src/smapi/errors.ts';

/**
 * How long the lock is tried for, in milliseconds. On gfs2 a first try can fail only because another
 * host still caches a lock that it gave up.
 */
const lockTimeout = 1_000;

/** How often at most an image's file may be replaced while it is waited for. */
const replacements = 5;

/** The format of an image, as its owner states it. */
export type ImageFormat = 'raw' | 'qcow2' | 'vhd';

/**
 * Checks that an image is there and can be served.
 *
 * @throws PluginError `ImageMissing`, `NotAnImage`.
 */
export function checkImage(path: string, format: ImageFormat): void {
  waitsFor(`the storage of the image ${path}`);
  let found: Stats;
  try {
    found = lstatSync(path);
  } catch (error) {
    throw openFailed(path, error);
  }
  checkServable(path, format, found);
}

/**
 * Opens an image and locks it: exclusively, or shared with others that share.
 *
 * Whoever keeps the descriptor (a loop device, or another process) keeps the lock. A shared one that a process of this
 * host has already is that process's, too.
 *
 * @returns the descriptor.
 * @throws NamedError `Activated_on_another_host`; PluginError `VolumeInUse`, `ImageMissing`, `NotAnImage`,
 * `ImageFrozen`.
 */
export async function openLockedImage(
  path: string,
  format: ImageFormat,
  readOnly: boolean,
  shared: boolean,
): Promise<number> {
  for (let tries = 1; ; tries++) {
    checkImage(path, format);
    const opened = openImage(path, readOnly);
    const borrowed = shared ? borrowLock(opened) : undefined;
    if (borrowed !== undefined) closeSync(opened);
    const image = borrowed ?? opened;
    try {
      if (borrowed === undefined) await lockImage(image, path, shared);
      // Only what holds under the lock counts: until then its volume could be resized or destroyed.
      const found = fstatSync(image);
      if (lstatSync(path, { throwIfNoEntry: false })?.ino === found.ino) {
        checkServable(path, format, found);
        if (!readOnly && (found.mode & constants.S_IWUSR) === 0) throw frozen(path);
        return image;
      }
    } catch (error) {
      closeSync(image);
      throw error;
    }
    closeSync(image);
    // A merge, or a snapshot of a running disk, puts another file in an image's place.
    if (tries === replacements) throw missing(path);
  }
}

function openImage(path: string, readOnly: boolean): number {
  try {
    return openSync(path, (readOnly ? constants.O_RDONLY : constants.O_RDWR) | constants.O_NOFOLLOW);
  } catch (error) {
    throw openFailed(path, error);
  }
}

function checkServable(path: string, format: ImageFormat, found: Stats): void {
  if (!found.isFile()) throw new PluginError('NotAnImage', `${path} is not a regular file.`);
  if (format === 'raw' && found.size % 512 !== 0) {
    throw new PluginError(
      'NotAnImage',
      `${path} has ${found.size} bytes, which is no multiple of 512: it was cut, or is no raw disk image.`,
    );
  }
}

/** Root may write any file: the mode is how whoever froze an image, under its lock, tells those who come later. */
function frozen(path: string): PluginError {
  return new PluginError(
    'ImageFrozen',
    `The image ${path} is part of a snapshot and must not be written; ask for the volume's URI again (Volume.stat).`,
  );
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
    if (!(error instanceof PluginError && error.name === 'LockTimeout')) throw error;
    // Disks go before garbage collection.
    if (!(await lockFromBackground(image, shared ? 'shared' : 'exclusive'))) throw refusal(image, path);
  }
}

function refusal(image: number, path: string): NamedError | PluginError {
  const holder = findImageHolder(image, path);
  switch (holder.where) {
    case 'here':
      return new PluginError(
        'VolumeInUse',
        `The image ${path} is in use on this host, locked by ${holder.name}.`,
      );
    case 'host':
      return new NamedError(
        'Activated_on_another_host',
        holder.uuid,
        `The image ${path} is in use on the host ${holder.uuid}; deactivate it there first.`,
      );
    case 'unknown':
      return new PluginError(
        'VolumeInUse',
        `The image ${path} is locked by another host, or by a process that this host does not show; deactivate it there first.`,
      );
  }
}
