import type { Handler } from '../../src/smapi/interface.ts';
import { readCatalog } from '../catalog/catalog.ts';
import { listCbtMetadata } from '../catalog/cbt-metadata.ts';
import { listVolumes } from '../catalog/volumes.ts';
import { toCbtVolume, toVolume } from '../volume/record.ts';
import { getAttached } from './attached.ts';

/**
 * SR.ls: lists the volumes of an SR, from its catalog alone: a look at an image that another host writes
 * would stall that host.
 *
 * @throws NamedError `Sr_not_attached`; as readCatalog.
 */
export const ls: Handler<'SR.ls'> = async ({ sr }) => {
  const attached = getAttached(sr);
  const { rows, metadata } = await readCatalog(attached, ({ database }) => ({
    rows: listVolumes(database),
    metadata: listCbtMetadata(database),
  }));
  return [...rows.map((row) => toVolume(attached, row)), ...metadata.map(toCbtVolume)];
};
