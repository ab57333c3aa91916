/** What is in an SR's folder of images: what each file says by itself. */
import { closeSync, constants, fstatSync, openSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { tryLock } from '../../src/locks/flock.ts';
import { findImageHolder } from '../../src/locks/image-holder.ts';
import type { Backing } from '../../src/qcow2/header.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import { isUuid } from '../../src/uuid.ts';
import { type ImageFormat, imageFormats } from '../catalog/schema.ts';
import { formatDriver } from '../images/format.ts';
import { type ImageLabel, readLabel } from '../images/label.ts';
import { imagesFolder } from '../layout/sr-folder.ts';
import { imagesAreLocal } from '../providers/provider.ts';
import type { AttachedSr } from '../sr/attached.ts';

/** What an image's file says. */
export interface ImageFile {
  /** Its name, of uuid and format. */
  readonly name: string;
  readonly uuid: string;
  readonly format: ImageFormat;
  /** Who has its lock, in words; undefined where nobody has it exclusively. */
  readonly user: string | undefined;
  /** The rest; undefined where it is in use, and known to the catalog: then it is left alone. */
  readonly seen: SeenImage | undefined;
}

/** What was found by a look into an image's file. */
export interface SeenImage {
  /** Its permissions, such as 0o600. */
  readonly mode: number;
  /** Bytes that it takes on the storage. */
  readonly physicalSize: bigint;
  readonly modified: Date;
  readonly label: ImageLabel | undefined;
  readonly header: ImageHeader | UnreadableHeader;
}

/** What the header of an image says; a raw one's size is its file's. */
export interface ImageHeader {
  readonly virtualSize: bigint;
  readonly backing: Backing | undefined;
}

/** Why an image has no header that can be used. */
export interface UnreadableHeader {
  readonly damage: string;
}

/** What is in the folder of images. */
export interface FoundFiles {
  /** By name. */
  readonly images: ReadonlyMap<string, ImageFile>;
  /** Names that no image has, and names of images that are no files. */
  readonly others: readonly string[];
}

/** Milliseconds for which locks are tried on a shared filesystem; see lock.ts of images. */
const patience = 1_000;

/**
 * Looks into all images of an SR under their locks, which are tried for a moment. The caller has the catalog's.
 *
 * @param known whether the catalog knows a file of this name: those that are in use are not looked into.
 */
export async function findFiles(sr: AttachedSr, known: (name: string) => boolean): Promise<FoundFiles> {
  const names = listNames(imagesFolder(sr.path));
  const images = new Map<string, ImageFile>();
  const others: string[] = [];
  for (const name of names) {
    const image = look(sr.path, name, known(name));
    if (image === undefined) others.push(name);
    else if (image !== 'gone') images.set(name, image);
  }
  const end = performance.now() + (imagesAreLocal(sr) ? 0 : patience);
  let busy = [...images.values()].filter(({ user }) => user !== undefined);
  while (busy.length > 0 && performance.now() < end) {
    await sleep(100);
    busy = busy.filter(({ name }) => {
      const again = look(sr.path, name, known(name));
      if (again !== undefined && again !== 'gone') images.set(name, again);
      return again !== undefined && again !== 'gone' && again.user !== undefined;
    });
  }
  return { images, others };
}

/** A folder that is missing has nothing in it. */
function listNames(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** The uuid and format in the name of an image. */
export function parseImageName(name: string): { uuid: string; format: ImageFormat } | undefined {
  const format = imageFormats.find((found) => name.endsWith(`.${found}`));
  const uuid = format === undefined ? '' : name.slice(0, -format.length - 1);
  return format === undefined || !isUuid(uuid) ? undefined : { uuid, format };
}

/** Undefined where it is no image. */
function look(folder: string, name: string, known: boolean): ImageFile | 'gone' | undefined {
  const image = parseImageName(name);
  if (image === undefined) return undefined;
  const file = `${imagesFolder(folder)}/${name}`;
  let fd: number;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return 'gone';
    if (code === 'ELOOP' || code === 'ENXIO') return undefined;
    throw error;
  }
  try {
    const free = tryLock(fd, 'shared');
    if (!free && known) return { name, ...image, user: describeUser(fd, file), seen: undefined };
    const found = fstatSync(fd, { bigint: true });
    if (!found.isFile()) return undefined;
    return {
      name,
      ...image,
      user: free ? undefined : describeUser(fd, file),
      seen: {
        mode: Number(found.mode & 0o777n),
        physicalSize: found.blocks * 512n,
        modified: found.mtime,
        label: readLabel(fd),
        header: readHeader(image.format, file),
      },
    };
  } finally {
    closeSync(fd);
  }
}

function readHeader(format: ImageFormat, file: string): SeenImage['header'] {
  const driver = formatDriver(format);
  try {
    return { virtualSize: driver.size(file), backing: driver.backing(file) };
  } catch (error) {
    if (error instanceof PluginError) return { damage: error.message };
    throw error;
  }
}

function describeUser(fd: number, file: string): string {
  const holder = findImageHolder(fd, file);
  switch (holder.where) {
    case 'here':
      return `${holder.name} on this host`;
    case 'host':
      return `the host ${holder.uuid}`;
    case 'unknown':
      return 'this host or another';
  }
}
