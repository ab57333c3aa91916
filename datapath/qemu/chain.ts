/** An image and those that it builds on, locked as a running disk needs them. */
import { closeSync, fstatSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { recordImageHolder } from '../../src/locks/image-holder.ts';
import { readQcow2Header } from '../../src/qcow2/header.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import { readVhdHeader } from '../../src/vhd/header.ts';
import { type ImageFormat, openLockedImage } from '../image.ts';

/** An image of a chain. */
export interface ChainImage {
  readonly path: string;
  readonly format: ImageFormat;
}

/** A chain whose locks this process has, until it is disposed of. */
export interface LockedChain extends Disposable {
  /** From the leaf to the root. */
  readonly images: readonly ChainImage[];
  /** The open images in the same order: whoever gets these descriptors has the locks. */
  readonly descriptors: readonly number[];
  /** Bytes of the leaf's disk. */
  readonly size: bigint;
}

/**
 * Opens an image and all that it builds on, and locks them: the leaf exclusively if it is to be written, and
 * all others shared, against whoever would change or remove them.
 *
 * What an image builds on is read from its header alone, under its lock, and must be an image in the same folder whose
 * format the header states. So nothing elsewhere is ever opened, whatever has been written into an image: what a
 * guest writes is never a header, for it lies in clusters or blocks.
 *
 * @param format of the image; a qcow2 image builds on qcow2 or raw ones, and a vhd image on vhd ones.
 * @throws NamedError `Activated_on_another_host`; PluginError `VolumeInUse`, `ImageMissing`, `NotAnImage`,
 * `ImageFrozen`, `ImageDamaged`.
 */
export async function lockChain(
  path: string,
  readOnly: boolean,
  format: 'qcow2' | 'vhd' = 'qcow2',
): Promise<LockedChain> {
  const images: ChainImage[] = [];
  const descriptors: number[] = [];
  const seen = new Set<string>();
  const release = (): void => {
    for (const fd of descriptors.splice(0)) closeSync(fd);
  };
  try {
    let size: bigint | undefined;
    let next: ChainImage | undefined = { path, format };
    while (next !== undefined) {
      const image: ChainImage = next;
      const leaf = images.length === 0;
      const fd = await openLockedImage(image.path, image.format, !leaf || readOnly, !leaf || readOnly);
      descriptors.push(fd);
      images.push(image);
      const { dev, ino } = fstatSync(fd, { bigint: true });
      if (seen.size === seen.add(`${dev}:${ino}`).size) throw damaged(image.path, 'builds on itself');
      // Others stay as they are: they are many disks', on many hosts.
      if (leaf) recordImageHolder(fd);
      if (image.format === 'raw') break;
      const header = image.format === 'vhd' ? readVhdHeader(image.path) : readQcow2Header(image.path);
      size ??= header.size;
      next = header.backing === undefined ? undefined : parentOf(image, header.backing);
    }
    return { images, descriptors, size: size ?? 0n, [Symbol.dispose]: release };
  } catch (error) {
    release();
    throw error;
  }
}

function parentOf(
  { path, format: own }: ChainImage,
  { name, format }: { readonly name: string; readonly format: string | undefined },
): ChainImage {
  if (!/^[^/\0:]+$/.test(name) || name === '.' || name === '..') {
    throw damaged(path, `names the parent ${JSON.stringify(name.slice(0, 100))}, which is no file beside it`);
  }
  const good: readonly ImageFormat[] = own === 'vhd' ? ['vhd'] : ['raw', 'qcow2'];
  const known = good.find((each) => each === format);
  if (known === undefined) {
    throw damaged(
      path,
      `does not say that its parent is ${good.join(' or ')} (${JSON.stringify(format ?? null)})`,
    );
  }
  return { path: join(dirname(path), name), format: known };
}

function damaged(path: string, what: string): PluginError {
  return new PluginError('ImageDamaged', `The image ${path} ${what}; restore it from a backup.`);
}
