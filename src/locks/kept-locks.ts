/**
 * The locks of a running disk's images, which its process keeps without knowing of them: descriptors in a message
 * that waits in a pair of sockets, of which the process has both ends and reads none. So the locks last exactly as
 * long as the process does, and still others can change them while it runs.
 *
 * A message has the locks of all images, the disk's own first; where there are several, as when somebody died while
 * he changed them, the last one counts.
 */
import { closeSync } from 'node:fs';
import { join } from 'node:path';
import { hostPaths } from '../host-paths.ts';
import { posix } from '../posix/index.ts';
import { linkTarget, listProcesses } from '../proc.ts';
import { PluginError } from '../smapi/errors.ts';

/** The descriptors of a disk's process behind standard error: its `alive` file, and the two ends. */
const aliveDescriptor = 3;
const readingEnd = 4;
const writingEnd = 5;

/** What a process keeps. */
export interface KeptImages {
  /** How often the disk had got another image on top when this was noted. */
  readonly generation: number;
  /** Locked images, the disk's own first. */
  readonly images: readonly number[];
  /** A locked image that the disk is about to get, or has got by now. */
  readonly next?: number;
}

/** The locks that a process keeps, until this is disposed of. */
export interface KeptLocks extends KeptImages, Disposable {
  /** Has the process keep others instead; whatever is in both stays locked meanwhile. */
  replace(kept: KeptImages): void;
  /** Makes one of the descriptors the caller's to close, and answers it. */
  keep(descriptor: number): number;
}

/** Ends for a new process to inherit as the descriptors behind its `alive` file. */
export interface PackedLocks extends Disposable {
  readonly ends: readonly [number, number];
}

/** Packs locked images for a process that is about to be started. */
export function packLocks(images: readonly number[]): PackedLocks {
  const ends = posix().socketPair();
  if (typeof ends === 'number') throw failed('kept', ends);
  const close = (): void => {
    for (const end of ends) closeSync(end);
  };
  try {
    send(ends[1], { generation: 0, images });
  } catch (error) {
    close();
    throw error;
  }
  return { ends, [Symbol.dispose]: close };
}

/**
 * The locks that a disk's process keeps.
 *
 * @throws PluginError `LocksUnknown`, also before Linux 5.6.
 */
export function openKeptLocks(pid: number): KeptLocks {
  const opened: number[] = [];
  const close = (): void => {
    for (const fd of opened.splice(0)) closeSync(fd);
  };
  try {
    const [reading, writing] = [readingEnd, writingEnd].map((end) => {
      const fd = posix().descriptorOf(pid, end);
      if (fd < 0) throw failed('found', -fd);
      opened.push(fd);
      return fd;
    }) as [number, number];
    const drop = (): void => {
      while (posix().queuedMessages(reading) > 1) {
        for (const fd of receive(reading, 0).descriptors) closeSync(fd);
      }
    };
    drop();
    const { note, descriptors } = receive(reading, 1);
    opened.push(...descriptors);
    const hasNext = note % 2 === 1;
    return {
      generation: Math.floor(note / 2),
      images: hasNext ? descriptors.slice(0, -1) : descriptors,
      ...(hasNext ? { next: descriptors.at(-1) as number } : {}),
      replace(kept) {
        send(writing, kept);
        drop();
      },
      keep(descriptor) {
        opened.splice(opened.indexOf(descriptor), 1);
        return descriptor;
      },
      [Symbol.dispose]: close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

/** The processes that serve disks of this host, also those of which no record is left. */
export function listDiskProcesses(): readonly number[] {
  return listProcesses().filter((pid) => isAliveFile(linkTarget(`/proc/${pid}/fd/${aliveDescriptor}`)));
}

/** Whether a path, as the kernel shows that of an open file, is of such a process's `alive` file. */
function isAliveFile(path: string | undefined): boolean {
  const folder = join(hostPaths.run, 'disk');
  return (
    path?.startsWith(`${folder}/`) === true &&
    /^[0-9a-f]{32}\/alive( \(deleted\))?$/.test(path.slice(folder.length + 1))
  );
}

/** The path of the image that a disk's process serves, as the kernel knows it; undefined where that is gone. */
export function servedImage(pid: number): string | undefined {
  try {
    using locks = openKeptLocks(pid);
    return linkTarget(`/proc/self/fd/${locks.images[0]}`);
  } catch (error) {
    if (error instanceof PluginError) return undefined;
    throw error;
  }
}

function send(socket: number, { generation, images, next }: KeptImages): void {
  const all = next === undefined ? images : [...images, next];
  const error = posix().sendDescriptors(socket, generation * 2 + all.length - images.length, all);
  if (error !== 0) throw failed('kept', error);
}

function receive(socket: number, peek: 0 | 1): { note: number; descriptors: readonly number[] } {
  const received = posix().receiveDescriptors(socket, peek);
  if (typeof received === 'number') throw failed('found', received);
  return received;
}

function failed(what: string, errno: number): PluginError {
  return new PluginError(
    'LocksUnknown',
    `The locks of a running disk's images could not be ${what} (errno ${errno}), which needs Linux 5.6 or later and the right to trace the disk's process.`,
  );
}
