import { log } from '../../src/log.ts';
import { changeCatalog } from '../catalog/catalog.ts';
import { type Image, setPhysicalSize } from '../catalog/images.ts';
import type { AttachedSr } from '../sr/attached.ts';

/** Records what an image takes on the storage, unless others are busy with the catalog or it cannot be written. */
export async function recordAllocation(sr: AttachedSr, image: Image, bytes: bigint): Promise<void> {
  try {
    await changeCatalog(sr, ({ database }) => setPhysicalSize(database, image.uuid, bytes), { patience: 0 });
  } catch (error) {
    log(
      'warning',
      `the size of the image ${image.uuid} was not recorded: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}
