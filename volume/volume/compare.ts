import { waitsFor } from '../../src/deadline.ts';
import type { Handler } from '../../src/smapi/interface.ts';
import { listHeldParts } from '../../src/vhd/header.ts';
import { readCatalog } from '../catalog/catalog.ts';
import type { Image } from '../catalog/images.ts';
import { findVolume, type VolumeRow } from '../catalog/volumes.ts';
import { type Extent, mapAllocation } from '../images/allocation-map.ts';
import { toBlockRanges } from '../images/block-ranges.ts';
import { ImageLocks } from '../images/lock.ts';
import { imageFile } from '../layout/sr-folder.ts';
import { getAttached } from '../sr/attached.ts';
import { getVolume } from './base.ts';
import { holdContent } from './source.ts';

/** Bytes. */
const blockSize = 65_536;
/** Milliseconds to read the tables of all images. */
const limit = 600_000;

/**
 * Volume.compare: lists where two volumes may differ, from which images of their trees hold which parts: what was
 * written to either since they were one, also with the same data. Of volumes that never were one, and where there
 * is no second, it lists what the first holds.
 *
 * @throws NamedError `Sr_not_attached`, `Volume_does_not_exist`, `Activated_on_another_host`; PluginError
 * `VolumeInUse` where one of them may be written, `ImageDamaged`, `ImageMissing`, `ToolMissing`; as readCatalog.
 */
export const compare: Handler<'Volume.compare'> = async ({ sr, key, key2 }) => {
  const attached = getAttached(sr);
  using locks = new ImageLocks(attached);
  const { chain, otherChain } = await readCatalog(attached, async (catalog) => {
    const row = getVolume(catalog.database, key);
    const other = findVolume(catalog.database, key2);
    const hold = (volume: VolumeRow): Promise<readonly Image[]> =>
      holdContent(catalog, attached.path, locks, volume, 'it is compared');
    return { chain: await hold(row), otherChain: other === undefined ? [] : await hold(other) };
  });
  const own = depthOfCommon(chain, otherChain);
  const others = depthOfCommon(otherChain, chain);
  waitsFor(`the storage of the SR in ${attached.path} to say what its images hold`, limit);
  const map = async ([image]: readonly Image[]): Promise<readonly Extent[]> =>
    image === undefined ? [] : await mapAllocation(imageFile(attached.path, image), image.format);
  const parts =
    chain[0]?.format === 'vhd'
      ? [...chain.slice(0, own), ...otherChain.slice(0, own === undefined ? 0 : others)].flatMap((image) =>
          listHeldParts(imageFile(attached.path, image)),
        )
      : own === undefined
        ? (await map(chain)).filter(({ data }) => data)
        : [
            ...(await map(chain)).filter(({ depth, present }) => present && depth < own),
            ...(await map(otherChain)).filter(({ depth, present }) => present && depth < (others ?? 0)),
          ];
  const ranges = toBlockRanges(parts, blockSize, Number(chain[0]?.virtualSize ?? 0n));
  return {
    blocksize: blockSize,
    ranges: ranges.map(([first, count]) => [BigInt(first), BigInt(count)] as const),
  };
};

/** How many images of a chain come before the first that another has too; undefined where none does. */
function depthOfCommon(chain: readonly Image[], other: readonly Image[]): number | undefined {
  const depth = chain.findIndex(({ uuid }) => other.some((image) => image.uuid === uuid));
  return depth === -1 ? undefined : depth;
}
