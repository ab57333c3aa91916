import type { Volume } from '../../src/smapi/interface.ts';
import type { CbtMetadataRow } from '../catalog/cbt-metadata.ts';
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
    cbt_enabled: row.cbtEnabled,
    ...(row.cbtEnabled && !row.readWrite ? { volume_type: ['Data_and_CBT_Metadata', null] } : {}),
  };
}

/** A snapshot without its data as the interface describes it: no datapath can have it. */
export function toCbtVolume(row: CbtMetadataRow): Volume {
  return {
    key: row.key,
    uuid: row.key,
    name: row.name,
    description: row.description,
    read_write: false,
    sharable: false,
    virtual_size: row.virtualSize,
    physical_utilisation: row.physicalSize,
    uri: [],
    keys: row.keys,
    cbt_enabled: true,
    volume_type: ['CBT_Metadata', null],
  };
}
