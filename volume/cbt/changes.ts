import type { DatabaseSync } from 'node:sqlite';
import { NumberedError } from '../../src/smapi/errors.ts';
import { findCbtMetadata } from '../catalog/cbt-metadata.ts';
import { findImage, type Image, listChain } from '../catalog/images.ts';
import { findVolume, type VolumeRow } from '../catalog/volumes.ts';
import { describeVolume } from '../images/in-use.ts';
import { noSuchVolume } from '../volume/missing.ts';

/** One of two contents that are compared. */
export interface Content {
  /** Names it to a person. */
  readonly name: string;
  /** Bytes of the disk. */
  readonly size: bigint;
  /** The image with the same content in all blocks but those of `changed`. */
  readonly image: Image;
  /** A packed set of blocks. */
  readonly changed: Uint8Array | undefined;
  /** The volume; undefined where only its metadata is left. */
  readonly volume: VolumeRow | undefined;
}

/** That nothing but a full backup helps; sm's code for it, by which clients know it. */
export function changesUnknown(sentence: string): NumberedError {
  return new NumberedError(460, 'ChangesUnknown', `${sentence}; take a full backup instead.`);
}

/**
 * The content of a volume whose changes are tracked.
 *
 * @throws NamedError `Volume_does_not_exist`; NumberedError `ChangesUnknown`.
 */
export function getContent(database: DatabaseSync, key: string): Content {
  const volume = findVolume(database, key);
  if (volume !== undefined) {
    const name = describeVolume(volume);
    if (!volume.cbtEnabled) {
      throw changesUnknown(
        `The changes of the volume ${name} ${volume.readWrite ? 'are' : 'were'} not tracked (xe vdi-enable-cbt)${volume.readWrite ? '' : ' when it was taken'}`,
      );
    }
    return { name, size: volume.image.virtualSize, image: volume.image, changed: undefined, volume };
  }
  const metadata = findCbtMetadata(database, key);
  if (metadata === undefined) throw noSuchVolume(key);
  const name = describeVolume(metadata);
  const image = metadata.image === undefined ? undefined : findImage(database, metadata.image);
  if (image === undefined) {
    throw changesUnknown(
      `What the snapshot ${name} had in common with others is not known any more, for its disk is gone or was reverted`,
    );
  }
  return { name, size: metadata.virtualSize, image, changed: metadata.changed, volume: undefined };
}

/** An image of the way between two contents, with its parent. */
export interface Step {
  readonly image: Image;
  readonly parent: Image;
}

/**
 * The images in which two contents differ: from each, its image, that one's parent and so on, to before the first
 * that both have. Whatever none of these holds, both have from there.
 *
 * @throws NumberedError `ChangesUnknown` where they have no image in common; PluginError `CatalogDamaged`.
 */
export function findWay(database: DatabaseSync, from: Content, to: Content): readonly Step[] {
  const one = listChain(database, from.image);
  const other = listChain(database, to.image);
  const common = one.findIndex(({ uuid }) => other.some((image) => image.uuid === uuid));
  const fork = one[common];
  if (fork === undefined) {
    throw changesUnknown(
      `The volumes ${from.name} and ${to.name} are not of one disk, or what they had in common is gone`,
    );
  }
  const before = other.findIndex(({ uuid }) => uuid === fork.uuid);
  return [...steps(one, common), ...steps(other, before)];
}

function steps(chain: readonly Image[], count: number): readonly Step[] {
  return chain.slice(0, count).flatMap((image, index) => {
    const parent = chain[index + 1];
    return parent === undefined ? [] : [{ image, parent }];
  });
}
