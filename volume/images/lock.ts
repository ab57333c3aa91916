/** Locks of images. An image's lock is a flock(2) on its file, which whoever runs its disk holds. */
import { closeSync, constants, openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { borrowLock } from '../../src/locks/borrow.ts';
import { type LockMode, tryLock, unlock } from '../../src/locks/flock.ts';
import { lockFromBackground } from '../../src/locks/giving-way.ts';
import { findImageHolder } from '../../src/locks/image-holder.ts';
import { NamedError } from '../../src/smapi/errors.ts';
import type { Intent } from '../catalog/intents.ts';
import type { VolumeRow } from '../catalog/volumes.ts';
import { imageFile } from '../layout/sr-folder.ts';
import { imagesAreLocal } from '../providers/provider.ts';
import type { AttachedSr } from '../sr/attached.ts';
import { describeVolume, volumesInUse } from './in-use.ts';

/** The lock of an image, until it is disposed of. */
export interface ImageLock extends Disposable {
  /** The open image; undefined where it has no file. */
  readonly fd: number | undefined;
}

/**
 * Tries to take the lock of an image exclusively, so that no disk runs on it, on any host.
 *
 * While the lock is held, a file that was unlinked keeps its blocks; freeing them, which takes long for
 * big images, is part of disposing.
 *
 * @returns undefined when someone has it. An image without a file is nobody's.
 */
export function lockImage(file: string): ImageLock | undefined {
  const fd = openImage(file);
  if (fd === undefined || tryLock(fd, 'exclusive')) return held(fd);
  closeSync(fd);
  return undefined;
}

/**
 * How long a lock is tried for where other hosts use the filesystem too, in milliseconds. A first try there can
 * fail only because another host's kernel still keeps a lock that was given up.
 */
const patience = 1_000;
/** The same for who has all the time, and keeps others from the catalog meanwhile. */
const backgroundPatience = 100;

/** The locks that a call has on images of an SR, each taken once. */
export class ImageLocks implements Disposable {
  readonly #sr: AttachedSr;
  readonly #background: boolean;
  readonly #locks = new Map<string, ImageLock>();
  /** Of locks that others have, too. */
  readonly #borrowed = new Set<number>();

  /** @param background whether nobody else is asked to give way, nor waited for. */
  constructor(sr: AttachedSr, { background = false } = {}) {
    this.#sr = sr;
    this.#background = background;
  }

  /** Takes an image's lock, unless this call has it; false when someone else does. */
  async take(image: Intent, mode: LockMode = 'exclusive'): Promise<boolean> {
    if (this.#locks.has(image.uuid)) return true;
    const fd = openImage(imageFile(this.#sr.path, image));
    const borrowed = fd !== undefined && mode === 'shared' ? borrowLock(fd) : undefined;
    const isLocked = fd === undefined || borrowed !== undefined || (await this.#tryLock(fd, mode));
    if (fd !== undefined && (borrowed !== undefined || !isLocked)) closeSync(fd);
    if (!isLocked) return false;
    if (borrowed !== undefined) this.#borrowed.add(borrowed);
    this.#locks.set(image.uuid, held(borrowed ?? fd));
    return true;
  }

  /**
   * Takes the lock of a volume's image, which must not be in use.
   *
   * @param refused what cannot be done meanwhile, such as `it is destroyed`.
   * @returns the open image; undefined where it has no file.
   * @throws PluginError `VolumeInUse`; NamedError `Activated_on_another_host`.
   */
  async takeOf(row: VolumeRow, refused: string, mode: LockMode = 'exclusive'): Promise<number | undefined> {
    if (!(await this.take(row.image, mode))) throw refusal(imageFile(this.#sr.path, row.image), row, refused);
    return this.fd(row.image);
  }

  /** The open image whose lock this call has; undefined where it has no file. */
  fd(image: Intent): number | undefined {
    return this.#locks.get(image.uuid)?.fd;
  }

  /**
   * Gives the locks up before the images are closed. The kernel ends what a command inherited a little after that
   * command, which has ended.
   */
  unlock(): void {
    for (const { fd } of this.#locks.values()) if (fd !== undefined && !this.#borrowed.has(fd)) unlock(fd);
  }

  [Symbol.dispose](): void {
    for (const lock of this.#locks.values()) lock[Symbol.dispose]();
  }

  async #tryLock(fd: number, mode: LockMode): Promise<boolean> {
    const limit = this.#background ? backgroundPatience : patience;
    const end = performance.now() + (imagesAreLocal(this.#sr) ? 0 : limit);
    for (let wait = 5; !tryLock(fd, mode); wait = Math.min(wait * 2, 100)) {
      if (performance.now() >= end) return !this.#background && (await lockFromBackground(fd, mode));
      await sleep(wait);
    }
    return true;
  }
}

function refusal(file: string, row: VolumeRow, refused: string): Error {
  const fd = openImage(file);
  if (fd === undefined) return volumesInUse([row], refused);
  try {
    const holder = findImageHolder(fd, file);
    if (holder.where !== 'host') return volumesInUse([row], refused);
    return new NamedError(
      'Activated_on_another_host',
      holder.uuid,
      `The volume ${describeVolume(row)} is in use on the host ${holder.uuid}; shut down or unplug there what uses it before ${refused}.`,
    );
  } finally {
    closeSync(fd);
  }
}

function held(fd: number | undefined): ImageLock {
  return {
    fd,
    [Symbol.dispose]: () => {
      if (fd !== undefined) closeSync(fd);
    },
  };
}

function openImage(file: string): number | undefined {
  try {
    // O_NONBLOCK: a FIFO in an image's place must not stop us.
    return openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
