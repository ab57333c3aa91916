/**
 * The watcher of room, one on each host while disks are written: it pauses those whose filesystem is about to be full,
 * before a guest sees an error, and has them go on when there is room. It also has disks served again that a call left
 * unserved as it died.
 *
 * It remembers nothing: whether a disk is paused is for its process to say. So one that takes the place of another that
 * was killed goes on with what that one had done.
 */
import { closeSync, ftruncateSync, watch, writeFileSync, writeSync } from 'node:fs';
import { setPriority } from 'node:os';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { lock, tryLock } from '../../src/locks/flock.ts';
import { log, logFor } from '../../src/log.ts';
import { posix } from '../../src/posix/index.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import { isAnyCallAtWork } from '../activation-state.ts';
import { moveHelperToScope } from '../disk-scope.ts';
import { lookerAt } from './look.ts';
import { type Room, roomMarks, untilNextLook } from './marks.ts';
import { pauseDisk, resumeIdleDisk, serveIdleDisk } from './pause.ts';
import { hasItsName, openRoomFile, roomPlaces } from './places.ts';
import {
  folderOf,
  isPaused,
  isRunning,
  listLostDisks,
  listWrittenDisks,
  type WrittenDisk,
} from './written-disks.ts';

/** Milliseconds between looks at the list of disks; new ones are told. */
const listEvery = 1_000;
/** How long to stay when no disk is written: the next one may be about to come. */
const linger = 10_000;
/** Milliseconds between looks at a filesystem on which disks are paused. */
const pausedEvery = 100;
/** And at one that cannot be looked at. */
const failedEvery = 1_000;
/** Milliseconds for others to look whether there is a watcher, for which they lock its file for a moment. */
const lockTimeout = 500;

/** The disks that are known, by their keys: also those of which someone removed the record. */
const disks = new Map<string, WrittenDisk>();
/** The folders that are looked at. */
const watched = new Set<string>();
/** The disks that are being served again. */
const serving = new Set<string>();
/** The disks of which the log says that they have lost their processes. */
const told = new Set<string>();

async function main(): Promise<void> {
  logFor('room watcher');
  await takePrecedence();
  const { watcher } = roomPlaces();
  const held = openRoomFile(watcher);
  try {
    await lock(held, 'exclusive', lockTimeout, 'the watch on room');
  } catch (error) {
    if (error instanceof PluginError && error.name === 'LockTimeout') return;
    throw error;
  }
  ftruncateSync(held);
  writeSync(held, `${process.pid}\n`);
  let wake = (): void => {};
  onNewDisks(() => wake());
  for (let needed = performance.now(); ; ) {
    const woken = new Promise<void>((resolve) => {
      wake = resolve;
    });
    list();
    if ([...disks.values()].some(isRunning)) needed = performance.now();
    // Without its file nobody can find it, and who needs one starts another.
    else if (!hasItsName(held, watcher)) return;
    else if (performance.now() - needed >= linger && endsUnneeded(held)) return;
    await Promise.race([sleep(listEvery), woken]);
  }
}

/** What disks wait for comes first, and must not end with a call, nor for want of memory. */
async function takePrecedence(): Promise<void> {
  try {
    await moveHelperToScope('room', [process.ppid, process.pid]);
  } catch (error) {
    log('error', `the watcher of room ends with its caller: ${String(error)}`);
  }
  attempt(() => setPriority(-20));
  attempt(() => writeFileSync('/proc/self/oom_score_adj', '-900'));
  const { run } = await import('../../src/commands.ts');
  try {
    // All its threads: on a host whose processors are busy a look that comes late is of no use.
    await run('chrt', ['--all-tasks', '--rr', '--pid', '1', String(process.pid)]);
  } catch (error) {
    log('warning', `the watcher of room has no precedence over other processes: ${String(error)}`);
  }
}

/** Some containers do not allow it. */
function attempt(work: () => void): void {
  try {
    work();
  } catch {}
}

function onNewDisks(listener: () => void): void {
  const { folder, told } = roomPlaces();
  try {
    watch(folder, (_, name) => {
      if (name === basename(told)) listener();
    }).on('error', () => {});
  } catch {
    // They are seen a little later then.
  }
}

/** Brings the known disks up to date, and has the folders of all of them looked at. */
function list(): void {
  const listed = listWrittenDisks();
  for (const disk of listed) disks.set(disk.key, disk);
  const keys = new Set(listed.map(({ key }) => key));
  for (const disk of disks.values()) {
    if (!keys.has(disk.key) && !isRunning(disk)) disks.delete(disk.key);
  }
  for (const folder of new Set([...disks.values()].map(folderOf))) {
    if (!watched.has(folder)) void watchFolder(folder);
  }
  for (const disk of listed) void serve(disk);
  tellLost();
}

/** Says of each disk whose process has ended under its users that it has, once. */
function tellLost(): void {
  const lost = listLostDisks();
  for (const { key, path } of lost) {
    if (told.has(key)) continue;
    told.add(key);
    log(
      'error',
      `the process of the running disk ${path} has ended, and what uses the disk gets I/O errors: shut that down by force, and start it again`,
    );
  }
  for (const key of told) if (!lost.some((disk) => disk.key === key)) told.delete(key);
}

/** Sees to a disk that nobody serves since a call died. */
async function serve(disk: WrittenDisk): Promise<void> {
  if (serving.has(disk.key)) return;
  serving.add(disk.key);
  try {
    await serveIdleDisk(disk);
  } catch (error) {
    log('error', `the disk ${disk.path} is not served again yet: ${String(error)}`);
  } finally {
    serving.delete(disk.key);
  }
}

/** Looks at a folder's filesystem for as long as there are disks in it. A storage that hangs keeps only this one. */
async function watchFolder(folder: string): Promise<void> {
  watched.add(folder);
  const look = lookerAt(folder);
  for (;;) {
    const room = await look();
    const here = [...disks.values()].filter((disk) => folderOf(disk) === folder);
    if (here.length === 0) break;
    let wait = failedEvery;
    try {
      if (room !== undefined) wait = await keepRoom(room, here);
    } catch (error) {
      log('error', `the watcher of room cannot see to the disks in ${folder}: ${String(error)}`);
    }
    await sleep(wait);
  }
  watched.delete(folder);
}

/**
 * Pauses disks, or has them go on.
 *
 * @returns milliseconds until the next look.
 */
async function keepRoom(room: Room, here: readonly WrittenDisk[]): Promise<number> {
  const { low, high } = roomMarks(room.total);
  if (room.free < low) {
    await pauseAll(here, room);
    return here.every(isPaused) ? pausedEvery : untilNextLook(room);
  }
  if (!here.some(isPaused)) return untilNextLook(room);
  if (room.free >= high) await resumeAll(here, room);
  return Math.min(pausedEvery, untilNextLook(room));
}

async function pauseAll(here: readonly WrittenDisk[], { free, total }: Room): Promise<void> {
  const pause = async (disk: WrittenDisk): Promise<void> => {
    if (!(await pauseDisk(disk))) return;
    log(
      'warning',
      `the disk ${disk.path} is paused, for its storage has ${mebibytes(free)} of ${mebibytes(total)} left; it goes on by itself when there are ${mebibytes(roomMarks(total).high)}: destroy snapshots or volumes, or grow the SR`,
    );
  };
  // All at once: a tapdisk first ends what it has begun.
  await Promise.all(here.map(pause));
}

async function resumeAll(here: readonly WrittenDisk[], { free }: Room): Promise<void> {
  for (const disk of here) {
    if (!(await resumeIdleDisk(disk))) continue;
    log('warning', `the disk ${disk.path} goes on: its storage has ${mebibytes(free)} left`);
  }
}

function mebibytes(bytes: number): string {
  return `${Math.floor(bytes / 2 ** 20)} MiB`;
}

/**
 * Ends the watch if nobody needs it. A call that makes sure of it holds the gate for that, and its disk's state before
 * and after: so it is seen, or it sees that there is no watch any more.
 *
 * @param held the lock of the watch, which is given up then.
 */
function endsUnneeded(held: number): boolean {
  const gate = openRoomFile(roomPlaces().gate);
  try {
    if (!tryLock(gate, 'exclusive') || isAnyCallAtWork()) return false;
    list();
    if ([...disks.values()].some(isRunning)) return false;
    closeSync(held);
    return true;
  } finally {
    closeSync(gate);
  }
}

// At once: Node would wait for looks that hang.
void main().then(
  () => posix().exit(0),
  (error: unknown) => {
    log('error', `the watcher of room failed: ${String(error)}`);
    posix().exit(1);
  },
);
