/**
 * The locks of a running disk's images, which its process keeps without knowing of them: descriptors in a message
 * that waits in a pair of sockets, of which the process has both ends and reads none. So the locks last exactly as
 * long as the process does, and still others can change them while it runs.
 *
 * A message has the locks of all images, the disk's own first; where there are several, as when somebody died while
 * he changed them, the last one counts.
 */
import { closeSync } from 'node:fs';
import { constants } from 'node:os';
import { posix } from '../src/posix/index.ts';
import { linkTarget } from '../src/proc.ts';
import { PluginError } from '../src/smapi/errors.ts';

/** The descriptors of a disk's process behind standard error: its `alive` file, and the two ends. */
export const aliveDescriptor = 3;
const readingEnd = 4;
const writingEnd = 5;

/** The locks that a process keeps, until this is disposed of. */
export interface KeptLocks extends Disposable {
  /** Duplicates of the open images that are locked, the disk's own first. */
  readonly descriptors: readonly number[];
  /** Has the process keep others instead; whatever is in both stays locked meanwhile. */
  replace(descriptors: readonly number[]): void;
}

/** Ends for a new process to inherit, and to have them as its fifth and sixth descriptor. */
export interface NewKeptLocks extends Disposable {
  readonly ends: readonly [number, number];
}

/** Packs locked images for a process that is about to be started. */
export function packLocks(descriptors: readonly number[]): NewKeptLocks {
  const ends = posix().socketPair();
  if (typeof ends === 'number') throw failed('made', ends);
  const close = (): void => {
    for (const end of ends) closeSync(end);
  };
  try {
    send(ends[1], descriptors);
  } catch (error) {
    close();
    throw error;
  }
  return { ends, [Symbol.dispose]: close };
}

/**
 * The locks that a disk's process keeps; undefined where it is gone.
 *
 * @throws PluginError `LocksUnknown` also before Linux 5.6.
 */
export function openKeptLocks(pid: number): KeptLocks | undefined {
  const opened: number[] = [];
  const close = (): void => {
    for (const fd of opened.splice(0)) closeSync(fd);
  };
  const descriptors: number[] = [];
  try {
    const [reading, writing] = [readingEnd, writingEnd].map((end) => {
      const fd = posix().descriptorOf(pid, end);
      if (fd >= 0) opened.push(fd);
      return fd;
    }) as [number, number];
    if ([reading, writing].some((fd) => fd === -constants.errno.ESRCH || fd === -constants.errno.EBADF)) {
      close();
      return undefined;
    }
    if (reading < 0 || writing < 0) throw failed('found', -Math.min(reading, writing));
    const drop = (): void => {
      while (posix().queuedMessages(reading) > 1) for (const fd of receive(reading, 0)) closeSync(fd);
    };
    drop();
    descriptors.push(...receive(reading, 1));
    opened.push(...descriptors);
    return {
      descriptors,
      replace(others) {
        send(writing, others);
        drop();
      },
      [Symbol.dispose]: close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

/** The path of the image that a disk's process serves, as the kernel knows it; undefined where it is gone. */
export function servedImage(pid: number): string | undefined {
  try {
    using locks = openKeptLocks(pid);
    const [own] = locks?.descriptors ?? [];
    return own === undefined ? undefined : linkTarget(`/proc/self/fd/${own}`);
  } catch (error) {
    if (error instanceof PluginError) return undefined;
    throw error;
  }
}

function send(socket: number, descriptors: readonly number[]): void {
  const error = posix().sendDescriptors(socket, descriptors);
  if (error !== 0) throw failed('given away', error);
}

function receive(socket: number, peek: 0 | 1): readonly number[] {
  const received = posix().receiveDescriptors(socket, peek);
  if (typeof received === 'number') throw failed('found', received);
  return received;
}

function failed(what: string, errno: number): PluginError {
  return new PluginError(
    'LocksUnknown',
    `The locks of a running disk's images could not be ${what} (errno ${errno}); this needs Linux 5.6 or later, and the right to trace the disk's process.`,
  );
}
