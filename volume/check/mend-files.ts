import { fstatSync, lstatSync } from 'node:fs';
import { syncFile } from '../../src/atomic-file.ts';
import { checkChain } from '../images/chain.ts';
import { formatDriver } from '../images/format.ts';
import { ImageLocks } from '../images/lock.ts';
import { imageFile, imagesFolder } from '../layout/sr-folder.ts';
import type { AttachedSr } from '../sr/attached.ts';
import { moveAside } from './aside.ts';
import { parseImageName } from './files.ts';
import type { FileMend } from './findings.ts';
import { freeLeaks } from './image-content.ts';

/**
 * Mends a file under its lock. May be repeated after it died.
 *
 * @returns false where someone has the image: it is left alone.
 * @throws PluginError as qemuImg; errors of the filesystem.
 */
export async function mendFile(sr: AttachedSr, mend: FileMend): Promise<boolean> {
  const image = mend.kind === 'aside' ? findLockable(sr.path, mend.name) : mend.image;
  using locks = new ImageLocks(sr, { background: true });
  if (image === undefined) {
    if (mend.kind === 'aside') setAside(sr.path, mend.name);
    return true;
  }
  if (!(await locks.take(image))) return false;
  const fd = locks.fd(image);
  // A merge has put another file in its place.
  if (fd !== undefined && fstatSync(fd).nlink === 0) return false;
  if (fd !== undefined) await mendImage(sr.path, mend, fd);
  return true;
}

async function mendImage(folder: string, mend: FileMend, fd: number): Promise<void> {
  switch (mend.kind) {
    case 'aside':
      setAside(folder, mend.name);
      return;
    case 'grow':
      checkChain(folder, mend.chain);
      await formatDriver(mend.image.format).grow(imageFile(folder, mend.image), mend.image.virtualSize, fd);
      return;
    case 'leaks':
      await freeLeaks(imageFile(folder, mend.image), fd);
      syncFile(imageFile(folder, mend.image));
      return;
  }
}

/** What has a lock as an image has: not a folder or a link of such a name. */
function findLockable(folder: string, name: string): ReturnType<typeof parseImageName> {
  const found = lstatSync(`${imagesFolder(folder)}/${name}`, { throwIfNoEntry: false });
  return found?.isFile() === true ? parseImageName(name) : undefined;
}

function setAside(folder: string, name: string): void {
  const path = `${imagesFolder(folder)}/${name}`;
  if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) moveAside(folder, path, name);
}
