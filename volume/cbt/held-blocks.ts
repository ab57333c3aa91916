import { PluginError } from '../../src/smapi/errors.ts';
import { listHeldParts } from '../../src/vhd/header.ts';
import type { Image } from '../catalog/images.ts';
import { mapImage } from '../images/allocation-map.ts';
import { toBitmap } from './bitmap.ts';

/**
 * The blocks of which an image that builds on another holds something itself, also zeros: in all others it reads
 * as its parent. Of a vhd image they are those of its own blocks of 2 MiB. The image is checked, and nobody writes to it;
 * its parents are not opened.
 *
 * @throws PluginError `ToolMissing`, `ToolTooOld`, `ImageToolFailed`.
 */
export async function readHeldBlocks(
  file: string,
  { format, virtualSize: size }: Pick<Image, 'format' | 'virtualSize'>,
): Promise<Uint8Array> {
  if (format === 'vhd') return toBitmap(listHeldParts(file), Number(size));
  const image = { driver: 'qcow2', backing: null, file: { driver: 'file', filename: file } };
  const extents = await mapImage([`json:${JSON.stringify(image)}`], file);
  // QEMU before 6.1 does not tell what is held as zeros from what is not held.
  if (extents.some(({ present }) => typeof present !== 'boolean')) {
    throw new PluginError(
      'ToolTooOld',
      'qemu-img on this host does not say what an image holds; update it to 6.1 or later.',
    );
  }
  return toBitmap(
    extents.filter(({ present }) => present),
    Number(size),
  );
}
