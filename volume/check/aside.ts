/** Where a repair keeps what it takes away: nothing is ever removed by it. */
import { existsSync, linkSync, mkdirSync, readdirSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { syncDirectory } from '../../src/atomic-file.ts';
import { asideFolder } from '../layout/sr-folder.ts';

/** Gives a file a second name where such things are kept, durably, unless it has one there. */
export function keepAside(folder: string, file: string, name: string): void {
  if (!existsSync(file)) return;
  makeFolder(folder);
  const { ino } = statSync(file);
  const kept = readdirSync(asideFolder(folder)).some(
    (found) => statSync(`${asideFolder(folder)}/${found}`, { throwIfNoEntry: false })?.ino === ino,
  );
  if (kept) return;
  linkSync(file, freeName(folder, name));
  syncDirectory(asideFolder(folder));
}

/** Moves something to where such things are kept, durably. */
export function moveAside(folder: string, path: string, name: string): void {
  makeFolder(folder);
  renameSync(path, freeName(folder, name));
  syncDirectory(asideFolder(folder));
  syncDirectory(dirname(path));
}

function freeName(folder: string, name: string): string {
  const path = `${asideFolder(folder)}/${name}`;
  if (!existsSync(path)) return path;
  let count = 2;
  while (existsSync(`${path}.${count}`)) count++;
  return `${path}.${count}`;
}

function makeFolder(folder: string): void {
  if (existsSync(asideFolder(folder))) return;
  mkdirSync(asideFolder(folder), { mode: 0o700 });
  syncDirectory(folder);
}
