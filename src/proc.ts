/** What the kernel shows below /proc and /sys. Things end while they are looked at: what cannot be read is not there. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** The names in a folder. */
export function listFolder(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** What a file says, without what is blank at its end. */
export function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trimEnd();
  } catch {
    return undefined;
  }
}

export function readLines(file: string): readonly string[] {
  return readText(file)?.split('\n') ?? [];
}

/** Where a link leads. */
export function linkTarget(link: string): string | undefined {
  try {
    return readlinkSync(link);
  } catch {
    return undefined;
  }
}

/** The numbers of all processes of this host. */
export function listProcesses(): readonly number[] {
  return listFolder('/proc').flatMap((name) => (/^[0-9]+$/.test(name) ? [Number(name)] : []));
}

/** The paths of all that a process has open, as the kernel shows them. */
export function openFiles(pid: number): readonly string[] {
  return listFolder(`/proc/${pid}/fd`).flatMap((fd) => linkTarget(`/proc/${pid}/fd/${fd}`) ?? []);
}

/** The name of a process's program. */
export function programName(pid: number): string | undefined {
  return readText(`/proc/${pid}/comm`);
}

/** The state of a process, as a letter of proc(5): `T` is stopped by a signal. */
export function processState(pid: number): string | undefined {
  // It is behind the name, which is in brackets and may have some of its own.
  return /\) (\S)/.exec(readText(`/proc/${pid}/stat`) ?? '')?.[1];
}
