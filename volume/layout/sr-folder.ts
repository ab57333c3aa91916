/** The names of an SR's files below its folder; see docs/sr-layout.md. */
import { isUuid } from '../../src/uuid.ts';
import type { ImageFormat } from '../catalog/schema.ts';

/** Everything about volumes; SQLite. */
export const catalogName = 'catalog.sqlite';
/** The catalog's rollback journal: SQLite derives the name. */
export const journalName = `${catalogName}-journal`;
/** A catalog that SR.create has not finished. */
export const newCatalogName = `${catalogName}.new`;
/** A catalog that a repair has not finished. */
export const repairedCatalogName = `${catalogName}.repaired`;
/** The folder of backup copies of the catalog. */
export const backupsName = 'backups';
/** The folder where a repair keeps what it takes away. */
export const asideName = 'aside';
/** The folder of disk images. */
export const imagesName = 'images';
/** The folder of lock files. */
export const locksName = 'locks';
/** The lock file of the catalog, in `locks`. */
export const catalogLockName = 'catalog';

/** Room kept for garbage collection: a file without content. */
export const reserveName = 'reserve';

/** The path of the file that keeps room for garbage collection. */
export function reserveFile(folder: string): string {
  return `${folder}/${reserveName}`;
}

/** The catalog's path. */
export function catalogFile(folder: string): string {
  return `${folder}/${catalogName}`;
}

/** The path of the catalog's rollback journal. */
export function journalFile(folder: string): string {
  return `${folder}/${journalName}`;
}

/** The path of the catalog's lock file. */
export function catalogLockFile(folder: string): string {
  return `${locksFolder(folder)}/${catalogLockName}`;
}

/** The path of the folder of lock files. */
export function locksFolder(folder: string): string {
  return `${folder}/${locksName}`;
}

/** The path of the folder of backup copies of the catalog. */
export function backupsFolder(folder: string): string {
  return `${folder}/${backupsName}`;
}

/** The path of the folder where a repair keeps what it takes away. */
export function asideFolder(folder: string): string {
  return `${folder}/${asideName}`;
}

/** The path of the folder of images. */
export function imagesFolder(folder: string): string {
  return `${folder}/${imagesName}`;
}

/**
 * The name of an image's file.
 *
 * @throws RangeError for an image that is not named by a UUID: nothing else ever becomes a path.
 */
export function imageName(image: { uuid: string; format: ImageFormat }): string {
  if (!isUuid(image.uuid)) throw new RangeError('The catalog has an image that is not named by a UUID.');
  return `${image.uuid}.${image.format}`;
}

/** The path of an image; as {@link imageName}. */
export function imageFile(folder: string, image: { uuid: string; format: ImageFormat }): string {
  return `${imagesFolder(folder)}/${imageName(image)}`;
}
