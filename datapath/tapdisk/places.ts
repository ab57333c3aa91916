/**
 * The files of a running disk's tapdisk. Those of ours are beside the ones that every disk's process has:
 *
 *   spawned, minor  what tap-ctl answered; it writes them itself, so that they are there also when who asked has died
 *   nbd             leads to tapdisk's own socket of the disk
 *
 * tapdisk's own are named by its process, and stay where it was killed.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { linkTarget, listFolder, programName, readText } from '../../src/proc.ts';
import { type ProcessPlaces, processPlaces } from '../qemu/places.ts';
import { controlFolder } from './tap-ctl.ts';

export interface TapdiskPlaces extends ProcessPlaces {
  readonly spawned: string;
  readonly minor: string;
}

/** For an image's key. */
export function tapdiskPlaces(key: string): TapdiskPlaces {
  const places = processPlaces(key);
  return { ...places, spawned: join(places.folder, 'spawned'), minor: join(places.folder, 'minor') };
}

/** A tapdisk as tap-ctl names it. */
export interface TapdiskName {
  readonly pid: number;
  readonly minor: number;
}

/** The socket at which a tapdisk serves an open disk by NBD. */
export function nbdSocket({ pid, minor }: TapdiskName): string {
  return join(controlFolder, `nbd${pid}.${minor}`);
}

/** The number at the end of what tap-ctl answered; undefined where there is no answer. */
export function readAnswer(file: string): number | undefined {
  const number = /(\d+)$/.exec(readText(file) ?? '')?.[1];
  return number === undefined ? undefined : Number(number);
}

/** The name of a process's program; undefined where there is none, or only a zombie of it. */
export function programOf(pid: number): string | undefined {
  return linkTarget(`/proc/${pid}/exe`) === undefined ? undefined : programName(pid);
}

/** Removes what a tapdisk that was killed has left under its number, unless another one has that by now. */
export function removeOwnFiles(pid: number): void {
  if (programOf(pid) === 'tapdisk') return;
  const ofProcess = new RegExp(`^(ctl|nbdclient)${pid}$|^nbd(-old|server|server-new)?${pid}\\.\\d+$`);
  for (const name of listFolder(controlFolder)) {
    if (ofProcess.test(name)) rmSync(join(controlFolder, name), { force: true });
  }
  rmSync(`/dev/shm/td3-${pid}`, { recursive: true, force: true });
  for (const name of listFolder('/dev/shm/metrics')) {
    if (name.startsWith(`tap-${pid}-`)) rmSync(join('/dev/shm/metrics', name), { force: true });
  }
  rmSync(`/var/log/blktap/tapdisk.${pid}.log`, { force: true });
}
