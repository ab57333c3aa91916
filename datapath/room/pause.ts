/**
 * How disks are paused. The process of a disk in qcow2 gets SIGSTOP: the I/O of its NBD clients waits, and goes on with
 * SIGCONT. What the kernel has been given already is written meanwhile.
 *
 * A tapdisk is paused by its own means: all programs that list tapdisks would wait for a stopped one.
 */
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { log } from '../../src/log.ts';
import { openFiles } from '../../src/proc.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import { type ActivationRecord, withActivationState } from '../activation-state.ts';
import { processPlaces } from '../qemu/places.ts';
import { endWait, isGrowing } from '../qemu/serve-again.ts';
import { TapCtlError, tapCtl } from '../tapdisk/tap-ctl.ts';
import { isPaused, isProcessOf, pausedMark, type WrittenDisk } from './written-disks.ts';

/** Milliseconds for the kernel to show that a process is stopped. */
const stopLimit = 1_000;

/**
 * Pauses a disk, unless a call is at work on it, which needs its process: that one comes to its end first. So is one
 * that is only on its way to serve, or to its end.
 *
 * @returns whether it is paused now, and was not.
 */
export async function pauseDisk(disk: WrittenDisk): Promise<boolean> {
  if (isPaused(disk)) return false;
  return await unlessAtWork(disk, async (record) => {
    const { nbd, folder } = processPlaces(disk.key);
    // Someone may have emptied the folder of records; the disk's own has its socket until it is to end.
    const serves = record === undefined ? !existsSync(folder) : record.domains.length > 0;
    if (!serves || (existsSync(folder) && !existsSync(nbd))) return false;
    return disk.minor === undefined ? await stop(disk) : await pauseTapdisk(disk, disk.minor);
  });
}

/**
 * Has a disk go on, unless a call is at work on it, which sees to that itself.
 *
 * @returns whether it was paused, and is not any more.
 */
export async function resumeIdleDisk(disk: WrittenDisk): Promise<boolean> {
  if (!isPaused(disk)) return false;
  return await unlessAtWork(disk, () => resumeDisk(disk));
}

/**
 * Has a disk served again whose users wait for that, for a call died while it made it grow; unless another call is at
 * work on it, which sees to that itself.
 */
export async function serveIdleDisk(disk: WrittenDisk): Promise<void> {
  const { key, path, pid, device } = disk;
  if (pid === undefined || !isGrowing(key) || isPaused(disk)) return;
  await unlessAtWork(disk, async () => {
    await endWait({ key, path, pid, device });
    return true;
  });
}

/**
 * Has a disk go on. Whoever holds the disk's state and needs its process to answer calls this first: nobody pauses it
 * before the state is given up.
 *
 * @returns whether it was paused, and is not any more.
 */
export async function resumeDisk(disk: WrittenDisk): Promise<boolean> {
  const wasPaused = isPaused(disk);
  // In any case: of a signal that was just sent the kernel shows nothing yet, and this one takes it back.
  signal(disk, 'SIGCONT');
  if (disk.minor === undefined || !existsSync(pausedMark(disk))) return wasPaused;
  return (await resumeTapdisk(disk, disk.minor)) && wasPaused;
}

async function unlessAtWork(
  { key, path }: WrittenDisk,
  work: (record: ActivationRecord | undefined) => Promise<boolean>,
): Promise<boolean> {
  const isAny = (_: ActivationRecord): _ is ActivationRecord => true;
  try {
    return await withActivationState(key, path, isAny, (state) => work(state.read()), 0);
  } catch (error) {
    if (error instanceof PluginError && error.name === 'LockTimeout') return false;
    throw error;
  }
}

/** Stops a process, so that whoever gets its disk's state next sees that. */
async function stop(disk: WrittenDisk): Promise<boolean> {
  if (!signal(disk, 'SIGSTOP')) return false;
  // One that waits for its storage stops once that has answered.
  for (const end = performance.now() + stopLimit; !isPaused(disk) && performance.now() < end; )
    await sleep(1);
  return true;
}

async function pauseTapdisk(disk: WrittenDisk, minor: number): Promise<boolean> {
  const { pid, path } = disk;
  if (pid === undefined || !isProcessOf(disk, pid)) return false;
  // Before it is: one that nobody knows to be paused would be so for ever.
  writeFileSync(pausedMark(disk), '', { mode: 0o600 });
  try {
    await tapCtl(['pause', '-p', String(pid), '-m', String(minor)]);
    return true;
  } catch (error) {
    if (!(error instanceof TapCtlError)) throw error;
    log('warning', `the disk ${path} cannot be paused: ${error.message}`);
    // Else it may still come to that.
    if (!error.timedOut) rmSync(pausedMark(disk), { force: true });
    return false;
  }
}

async function resumeTapdisk(disk: WrittenDisk, minor: number): Promise<boolean> {
  const { pid, path } = disk;
  if (pid === undefined || !isProcessOf(disk, pid)) return false;
  // While it is paused it has no image open.
  if (!openFiles(pid).includes(path)) {
    try {
      await tapCtl(['unpause', '-p', String(pid), '-m', String(minor)]);
    } catch (error) {
      if (!(error instanceof TapCtlError)) throw error;
      log('warning', `the disk ${path} cannot go on yet: ${error.message}`);
      return false;
    }
  }
  rmSync(pausedMark(disk), { force: true });
  return true;
}

function signal(disk: WrittenDisk, name: 'SIGSTOP' | 'SIGCONT'): boolean {
  if (disk.pid === undefined || !isProcessOf(disk, disk.pid)) return false;
  try {
    process.kill(disk.pid, name);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}
