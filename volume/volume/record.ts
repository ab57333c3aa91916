import type { Volume } from '../../src/smapi/interface.ts';
import type { VolumeRow } from '../catalog/volumes.ts';
import { imageUri } from '../images/uri.ts';
import { imageFile } from '../layout/sr-folder.ts';
import type { AttachedSr } from '../sr/attached.ts';

/** A volume as the interface describes it. */
export function toVolume(sr: AttachedSr, row: VolumeRow): Volume {
  return {
    key: row.key,
    uuid: row.key,
    name: row.name,
    description: row.description,
    read_write: row.readWrite,
    sharable: row.sharable,
    virtual_size: row.image.virtualSize,
    physical_utilisation: row.image.physicalSize,
    uri: [imageUri(imageFile(sr.path, row.image), row.image.format, row.sharable)],
    keys: row.keys,
  };
}
