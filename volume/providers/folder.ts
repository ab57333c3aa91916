import { accessSync, constants, existsSync, realpathSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { waitsFor } from '../../src/deadline.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import { catalogFile } from '../layout/sr-folder.ts';
import { sharedFilesystem } from './filesystems.ts';

/**
 * The real path of the directory that a device-config names.
 *
 * @throws PluginError `InvalidPath` when it is no directory of this host alone.
 */
export function resolveFolder(path: string): string {
  if (!path.startsWith('/') || path.split('/').includes('..')) {
    throw invalid(path, 'must be absolute and without ".."');
  }
  waitsFor(`the storage of the directory ${path}`);
  let folder: string;
  try {
    folder = realpathSync(path);
    if (!statSync(folder).isDirectory()) throw invalid(path, 'is not a directory');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (error instanceof PluginError || code === undefined) throw error;
    throw invalid(path, explanations[code] ?? `cannot be used (${code})`);
  }
  const filesystem = sharedFilesystem(folder);
  if (filesystem !== undefined) {
    throw invalid(
      path,
      `is on a ${filesystem} filesystem, which other hosts may have too; provider=path is only for filesystems of this host alone`,
    );
  }
  return folder;
}

const explanations: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist; make the directory first',
  ENOTDIR: 'leads through something that is not a directory',
  ELOOP: 'is a symbolic link that leads nowhere',
  ENAMETOOLONG: 'is too long',
  EACCES: 'may not be entered',
};

/** Bytes of the path of an SR's directory: SQLite opens no file of a path longer than 512. */
const maxPath = 460;

/**
 * Checks that an SR may be made in a directory.
 *
 * @param folder as {@link resolveFolder} answered it.
 * @throws PluginError `InvalidPath`.
 */
export function checkPlaceForSr(folder: string): void {
  if (folder === '/') throw invalid(folder, 'is the root of the host; make a directory for the SR');
  if (Buffer.byteLength(folder) > maxPath) {
    throw invalid(folder, `is longer than ${maxPath} bytes; choose a shorter one`);
  }
  for (let outer = dirname(folder); outer !== '/'; outer = dirname(outer)) {
    if (existsSync(catalogFile(outer))) throw invalid(folder, `lies inside the SR in ${outer}`);
  }
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw invalid(folder, `cannot be written (${(error as NodeJS.ErrnoException).code}); make it writable`);
  }
}

function invalid(path: string, why: string): PluginError {
  return new PluginError('InvalidPath', `The path ${JSON.stringify(path.slice(0, 200))} ${why}.`);
}
