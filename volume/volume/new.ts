/** What calls that make a volume have in common. */
import type { DatabaseSync } from 'node:sqlite';
import type { Volume } from '../../src/smapi/interface.ts';
import type { Image } from '../catalog/images.ts';
import { findVolume, type VolumeRow } from '../catalog/volumes.ts';
import { leafFormat } from '../images/format.ts';
import type { AttachedSr } from '../sr/attached.ts';
import { toVolume } from './record.ts';

/** What Volume.set stores to say what a disk is to xapi. */
const typeKey = 'vdi-type';

/** Gives a volume a key. */
export function newVolume(row: Omit<VolumeRow, 'key'>): VolumeRow {
  return { ...row, key: crypto.randomUUID() };
}

/** A new image that builds on another, as big as a volume. */
export function newLeaf(parent: Image, virtualSize: bigint): Image {
  return {
    uuid: crypto.randomUUID(),
    format: leafFormat(parent.format),
    parent: parent.uuid,
    virtualSize,
    physicalSize: 0n,
  };
}

/**
 * The keys of a copy of a volume: its type alone, which xapi does not set for a clone, and without which a disk is
 * of no type to it. All others are about one volume, such as that it is a snapshot, or which clone it runs on.
 */
export function inheritedKeys({ keys }: VolumeRow): Readonly<Record<string, string>> {
  return { [typeKey]: keys[typeKey] || 'user' };
}

/** The keys of a snapshot whose data was destroyed; xapi sets that type only after the call. */
export function metadataKeys({ keys }: VolumeRow): Readonly<Record<string, string>> {
  return { ...keys, [typeKey]: 'cbt_metadata' };
}

/** Describes a volume that was just made. */
export function statNew(database: DatabaseSync, sr: AttachedSr, key: string): Volume {
  return toVolume(sr, findVolume(database, key) as VolumeRow);
}
