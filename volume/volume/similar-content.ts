import type { Handler } from '../../src/smapi/interface.ts';
import { readCatalog } from '../catalog/catalog.ts';
import { listImages } from '../catalog/images.ts';
import { listImagesOfVolumes } from '../catalog/volumes.ts';
import { getAttached } from '../sr/attached.ts';
import { getVolume } from './base.ts';

/**
 * Volume.similar_content: lists the volumes of the same tree of images, those that are fewest images away first.
 *
 * @throws NamedError `Sr_not_attached`, `Volume_does_not_exist`; as readCatalog.
 */
export const similarContent: Handler<'Volume.similar_content'> = async ({ sr, key }) =>
  await readCatalog(getAttached(sr), ({ database }) => {
    const { image } = getVolume(database, key);
    const distances = measureDistances(image.uuid, listImages(database));
    return listImagesOfVolumes(database)
      .flatMap((volume) => {
        const distance = volume.key === key ? undefined : distances.get(volume.image);
        return distance === undefined ? [] : [{ key: volume.key, distance }];
      })
      .toSorted((a, b) => a.distance - b.distance)
      .map((volume) => volume.key);
  });

/** How many steps from parent to child or back it is from one image to each of its tree. */
function measureDistances(
  from: string,
  images: readonly { readonly uuid: string; readonly parent: string | undefined }[],
): ReadonlyMap<string, number> {
  const neighbours = new Map<string, string[]>(images.map(({ uuid }) => [uuid, []]));
  for (const { uuid, parent } of images) {
    if (parent === undefined) continue;
    neighbours.get(uuid)?.push(parent);
    neighbours.get(parent)?.push(uuid);
  }
  const distances = new Map([[from, 0]]);
  // A Map goes on to what is added while it is gone through.
  for (const [uuid, distance] of distances) {
    for (const next of neighbours.get(uuid) ?? []) {
      if (!distances.has(next)) distances.set(next, distance + 1);
    }
  }
  return distances;
}
