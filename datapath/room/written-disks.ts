/** The disks of this host that processes serve for writing: those that can be paused. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { linkTarget, openFiles, processState } from '../../src/proc.ts';
import { type ActivationRecord, imageKey, isCallAtWork, listRecords } from '../activation-state.ts';
import type { NbdDevice } from '../nbd/device.ts';
import { processPlaces } from '../qemu/places.ts';

/** A disk that its process serves for writing, or is about to. */
export interface WrittenDisk {
  readonly key: string;
  /** Of its image. */
  readonly path: string;
  /** Undefined before it is known. */
  readonly pid: number | undefined;
  /** Of its tapdisk; undefined for a disk that QEMU serves. */
  readonly minor?: number | undefined;
  /** Its block device; undefined where it has none. */
  readonly device?: NbdDevice | undefined;
}

/** What the records of datapaths with processes have in common. */
interface ProcessRecord extends ActivationRecord {
  readonly scheme: string;
  readonly process?: { readonly pid: number };
  readonly tapdisk?: { readonly pid: number; readonly minor?: number };
  readonly nbd?: NbdDevice;
}

const schemes: readonly unknown[] = ['qcow2+file', 'vhd+file'];

/** All of which there is a record, whether they run or not. */
export function listWrittenDisks(): readonly WrittenDisk[] {
  return listRecords(isServed)
    .filter(({ mode }) => mode === 'read-write')
    .map(toDisk);
}

/**
 * The disks of this host that are in use, and whose processes have ended all the same: what uses them gets I/O errors.
 */
export function listLostDisks(): readonly WrittenDisk[] {
  // Whoever lets a disk go ends its process before its record, and may have done with both while one looks.
  const found = listUsedDisks().filter((disk) => !isRunning(disk) && !isCallAtWork(disk.key));
  if (found.length === 0) return [];
  const still = listUsedDisks();
  return found.filter(({ key, pid }) => still.some((disk) => disk.key === key && disk.pid === pid));
}

function listUsedDisks(): readonly WrittenDisk[] {
  return listRecords(isServed)
    .filter(({ domains }) => domains.length > 0)
    .map(toDisk);
}

function toDisk({ scheme, path, process, tapdisk, nbd }: ProcessRecord): WrittenDisk {
  return {
    key: imageKey(scheme, path),
    path,
    pid: (process ?? tapdisk)?.pid,
    minor: tapdisk?.minor,
    device: nbd,
  };
}

function isServed(record: ActivationRecord): record is ProcessRecord {
  return schemes.includes((record as Partial<ProcessRecord>).scheme);
}

/** The folder that a disk's image is in: its filesystem is the one that is written. */
export function folderOf({ path }: WrittenDisk): string {
  return dirname(path);
}

/** Whether a process is a disk's: by the file that it has open, for its number may be another's by now. */
export function isProcessOf({ key }: Pick<WrittenDisk, 'key'>, pid: number): boolean {
  const { alive } = processPlaces(key);
  const isAlive = (target: string | undefined): boolean =>
    target === alive || target === `${alive} (deleted)`;
  // Where it is as a rule, so that not all must be read.
  return isAlive(linkTarget(`/proc/${pid}/fd/3`)) || openFiles(pid).some(isAlive);
}

/** Whether a disk's process runs; also one that is paused. */
export function isRunning(disk: WrittenDisk): boolean {
  return disk.pid !== undefined && isProcessOf(disk, disk.pid);
}

/** The file beside a tapdisk's others that says that it is paused for want of room: others pause tapdisks, too. */
export function pausedMark({ key }: Pick<WrittenDisk, 'key'>): string {
  return join(processPlaces(key).folder, 'paused');
}

/** Whether a disk is paused until there is room: of QEMU's processes the kernel says so, and no record can go stale. */
export function isPaused(disk: WrittenDisk): boolean {
  if (disk.pid === undefined) return false;
  const paused = processState(disk.pid) === 'T' || (disk.minor !== undefined && existsSync(pausedMark(disk)));
  return paused && isRunning(disk);
}

/** The disks of this host that are paused. */
export function listPausedDisks(): readonly WrittenDisk[] {
  return listWrittenDisks().filter(isPaused);
}
