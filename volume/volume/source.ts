import { waitsFor } from '../../src/deadline.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { type Image, listChain } from '../catalog/images.ts';
import type { VolumeRow } from '../catalog/volumes.ts';
import { checkChain } from '../images/chain.ts';
import { volumesInUse } from '../images/in-use.ts';
import type { ImageLocks } from '../images/lock.ts';

/**
 * Keeps a volume's content as it is while a tool reads it: nobody may write to its images, merge them, or take
 * them away. Other readers are welcome.
 *
 * @param locks kept until then.
 * @param refused what cannot be done where the volume is in use.
 * @returns its image, that one's parent, and so on, checked.
 * @throws PluginError `VolumeInUse`, `ImageDamaged`, `ImageMissing`; NamedError `Activated_on_another_host`.
 */
export async function holdContent(
  { database }: Catalog,
  folder: string,
  locks: ImageLocks,
  row: VolumeRow,
  refused: string,
): Promise<readonly Image[]> {
  const chain = listChain(database, row.image);
  waitsFor(`the storage of the SR in ${folder}`);
  // Several hosts may write to a sharable volume under shared locks.
  await locks.takeOf(row, refused, row.sharable && row.readWrite ? 'exclusive' : 'shared');
  for (const image of chain) {
    if (!(await locks.take(image, 'shared'))) throw volumesInUse([row], refused);
  }
  checkChain(folder, chain);
  return chain;
}
