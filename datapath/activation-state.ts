/**
 * What this host remembers of one image while it is active, under `<run>/datapath/<key>/`:
 *
 *   lock        held with flock(2) by the call at work on the image
 *   state.json  an ActivationRecord, from just before something serves the image until it is gone
 *
 * It is a note of intentions. Whether the image is active is for the kernel to say (a bound device, a
 * process, a held lock), and a record that disagrees is dropped.
 */
import { hash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { waitsFor } from '../src/deadline.ts';
import { hostPaths } from '../src/host-paths.ts';
import { lock, tryLock } from '../src/locks/flock.ts';
import { listFolder } from '../src/proc.ts';
import { PluginError } from '../src/smapi/errors.ts';

/** How long a call waits for another one that works on the same image, in milliseconds. */
const busyTimeout = 30_000;

/** How a disk is active. */
export type ActivationMode = 'read-write' | 'read-only';

/** What was asked for. A datapath adds what serves the image, or was about to. */
export interface ActivationRecord {
  readonly path: string;
  readonly mode: ActivationMode;
  readonly sharable: boolean;
  /** Those that the image is active for; none while it is only about to be served, or to be let go. */
  readonly domains: readonly string[];
}

/** Tells the records of one datapath, of which `value` has all that any has. */
export type RecordGuard<R extends ActivationRecord> = (value: ActivationRecord) => value is R;

/** The record of one image, to whoever holds its lock. */
export interface ActivationState<R extends ActivationRecord> {
  read(): R | undefined;
  write(record: R): void;
  remove(): void;
}

/** A short name for an image on this host, as a datapath serves it, of 32 hexadecimal digits. */
export function imageKey(scheme: string, path: string): string {
  // With the folder in it, as a second installation (a test's) has devices and records of its own.
  return hash('sha256', `${hostPaths.run}\0${scheme}\0${path}`).slice(0, 32);
}

/**
 * Does one piece of work on an image, alone on this host.
 *
 * @param timeout milliseconds to wait for another call that is at it; 30 s unless told.
 * @throws PluginError `LockTimeout` when that takes longer.
 */
export async function withActivationState<T, R extends ActivationRecord>(
  key: string,
  path: string,
  isOurs: RecordGuard<R>,
  work: (state: ActivationState<R>) => Promise<T>,
  timeout = busyTimeout,
): Promise<T> {
  waitsFor(`the storage of the image ${path}`);
  const folder = join(recordsFolder(), key);
  const held = await lockFolder(folder, path, timeout);
  const file = join(folder, 'state.json');
  const state: ActivationState<R> = {
    read: () => readRecord(file, isOurs),
    write: (record) =>
      keeping(() => {
        // A fixed name, for only the lock's holder writes: what one that died left is overwritten.
        writeFileSync(`${file}.new`, JSON.stringify(record), { mode: 0o600 });
        renameSync(`${file}.new`, file);
      }),
    remove: () => rmSync(file, { force: true }),
  };
  try {
    return await work(state);
  } finally {
    if (state.read() === undefined) removeFolder(folder);
    closeSync(held);
  }
}

/** Whether something is recorded of an image, without regard to calls at work. */
export function isRecorded(key: string): boolean {
  return existsSync(join(recordsFolder(), key, 'state.json'));
}

/** The records of all images of a datapath, without regard to calls at work. */
export function listRecords<R extends ActivationRecord>(isOurs: RecordGuard<R>): readonly R[] {
  // There is none when nothing was ever activated since the host started.
  return listFolder(recordsFolder()).flatMap(
    (key) => readRecord(join(recordsFolder(), key, 'state.json'), isOurs) ?? [],
  );
}

/** Whether a call is at work on any image of this host. */
export function isAnyCallAtWork(): boolean {
  return listFolder(recordsFolder()).some(isCallAtWork);
}

/** Whether a call is at work on one image. */
export function isCallAtWork(key: string): boolean {
  let fd: number;
  try {
    fd = openSync(join(recordsFolder(), key, 'lock'), 'r');
  } catch {
    return false;
  }
  try {
    return !tryLock(fd, 'shared');
  } finally {
    closeSync(fd);
  }
}

function recordsFolder(): string {
  return join(hostPaths.run, 'datapath');
}

/** Puts a failure of the folder of records into words. */
function keeping<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new PluginError(
      'StateFailed',
      `What this host knows of its disks cannot be kept below ${recordsFolder()} (${(error as NodeJS.ErrnoException).code ?? error}); make room there, or make it writable.`,
      { cause: error },
    );
  }
}

async function lockFolder(folder: string, path: string, timeout: number): Promise<number> {
  for (;;) {
    const fd = keeping(() => {
      mkdirSync(hostPaths.run, { recursive: true, mode: 0o755 });
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      return openLockFile(join(folder, 'lock'));
    });
    if (fd === undefined) continue;
    try {
      await lock(fd, 'exclusive', timeout, `the record of the image ${path}`);
      const current = statSync(join(folder, 'lock'), { throwIfNoEntry: false });
      if (current?.ino === fstatSync(fd).ino) return fd;
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    // The call before removed the folder with this lock file in it: a lock on it guards nothing.
    closeSync(fd);
  }
}

/** Removes what is left of a folder, unless another call has come for its lock meanwhile. */
function removeFolder(folder: string): void {
  for (const name of ['state.json.new', 'state.json', 'lock']) rmSync(join(folder, name), { force: true });
  try {
    rmdirSync(folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOTEMPTY' && code !== 'ENOENT') throw error;
  }
}

function openLockFile(file: string): number | undefined {
  try {
    return openSync(file, 'a', 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function readRecord<R extends ActivationRecord>(file: string, isOurs: RecordGuard<R>): R | undefined {
  try {
    const record: unknown = JSON.parse(readFileSync(file, 'utf8'));
    return isRecord(record) && isOurs(record) ? record : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is ActivationRecord {
  const record = value as Partial<ActivationRecord> | null;
  return (
    typeof record === 'object' &&
    record !== null &&
    typeof record.path === 'string' &&
    (record.mode === 'read-write' || record.mode === 'read-only') &&
    typeof record.sharable === 'boolean' &&
    Array.isArray(record.domains) &&
    record.domains.every((domain) => typeof domain === 'string')
  );
}
