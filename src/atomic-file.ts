import {
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname } from 'node:path';

/**
 * Replaces a file of this host as a whole: after a crash at any point its name has either the old content
 * or the new. What a process left that died on the way is removed by the next.
 *
 * @param mode permissions of the new file; 0600 unless told.
 */
export function writeFileAtomically(file: string, content: string | Uint8Array, mode = 0o600): void {
  removeAbandoned(file);
  const temporary = `${file}.${process.pid}.tmp`;
  try {
    const fd = openSync(temporary, 'wx', mode);
    try {
      writeFileSync(fd, content);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, file);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  syncDirectory(dirname(file));
}

/** Removes a file, and what a process left that died while it replaced it. */
export function removeFile(file: string): void {
  rmSync(file, { force: true });
  if (existsSync(dirname(file))) removeAbandoned(file);
}

function removeAbandoned(file: string): void {
  const folder = dirname(file);
  for (const name of readdirSync(folder)) {
    const pid = name.startsWith(`${basename(file)}.`) ? /\.(\d+)\.tmp$/.exec(name)?.[1] : undefined;
    const abandoned = pid !== undefined && (Number(pid) === process.pid || !existsSync(`/proc/${pid}`));
    if (abandoned) rmSync(`${folder}/${name}`, { force: true });
  }
}

/** Makes what was written to a file durable, whoever wrote it. */
export function syncFile(file: string): void {
  sync(file, constants.O_RDONLY | constants.O_NOFOLLOW);
}

/** Makes the creation, renaming and removal of names in a directory durable. */
export function syncDirectory(directory: string): void {
  sync(directory, constants.O_RDONLY);
}

function sync(path: string, flags: number): void {
  const fd = openSync(path, flags);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
