import { PluginError } from '../../src/smapi/errors.ts';
import type { Image } from '../catalog/images.ts';
import { imageFile, imageName } from '../layout/sr-folder.ts';
import { formatDriver } from './format.ts';

/**
 * Makes sure, before a tool opens an image with all its parents, that what their files say is what the catalog
 * says: each names its parent in the same folder, with its format, and the root names none. So no file from
 * elsewhere is ever opened, whatever has been written into an image.
 *
 * @param chain an image, its parent, and so on to the root; see {@link listChain}.
 * @throws PluginError `ImageDamaged`, `ImageMissing`.
 */
export function checkChain(folder: string, chain: readonly Image[]): void {
  for (const [index, image] of chain.entries()) checkImage(folder, image, chain[index + 1]);
}

/** The same for one image: what it takes to build another on it without opening it. */
export function checkImage(folder: string, image: Image, parent: Image | undefined): void {
  const file = imageFile(folder, image);
  const expected = parent === undefined ? undefined : { name: imageName(parent), format: parent.format };
  let found: { readonly name: string; readonly format: string | undefined } | undefined;
  try {
    found = formatDriver(image.format).backing(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw imageMissing(file);
  }
  if (found?.name === expected?.name && found?.format === expected?.format) return;
  const says =
    found === undefined
      ? 'no parent'
      : `the parent ${JSON.stringify(found.name.slice(0, 100))} (${found.format})`;
  throw new PluginError(
    'ImageDamaged',
    `The image ${file} names ${says}, and the catalog ${expected === undefined ? 'none' : `${expected.name} (${expected.format})`}; restore it from a backup.`,
  );
}

/** An image's file is not there. */
export function imageMissing(file: string): PluginError {
  return new PluginError('ImageMissing', `The image ${file} is missing; restore it from a backup.`);
}
