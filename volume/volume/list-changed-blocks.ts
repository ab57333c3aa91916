import { waitsFor } from '../../src/deadline.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import type { ChangedBlocks, Handler } from '../../src/smapi/interface.ts';
import { readCatalog } from '../catalog/catalog.ts';
import { blockSize, cut, toBitmap, unite, unpack } from '../cbt/bitmap.ts';
import { type Content, changesUnknown, findWay, getContent, type Step } from '../cbt/changes.ts';
import { readHeldBlocks } from '../cbt/held-blocks.ts';
import { readingLimit } from '../images/allocation-map.ts';
import { checkImage } from '../images/chain.ts';
import { ImageLocks } from '../images/lock.ts';
import { imageFile } from '../layout/sr-folder.ts';
import { type AttachedSr, getAttached } from '../sr/attached.ts';

/**
 * Volume.list_changed_blocks: lists the blocks of `key2` that may differ from those of `key`, a snapshot with its data
 * or without, from what their images hold. Never one less than there are; what is behind the end of `key` counts as
 * changed. Blocks have 65,536 bytes, and the first that is asked about is the highest bit of the first byte.
 *
 * @throws NamedError `Sr_not_attached`, `Volume_does_not_exist`, `Activated_on_another_host`; NumberedError
 * `ChangesUnknown` (460, at which clients take a full backup) where they are not of one disk, or were not tracked, or
 * metadata is damaged or lost; PluginError `VolumeInUse`, `ImagesBusy` while images between them are merged,
 * `InvalidRange`, `ImageDamaged`, `ImageMissing`, `ToolMissing`, `ToolTooOld`; as readCatalog.
 */
export const listChangedBlocks: Handler<'Volume.list_changed_blocks'> = async ({
  sr,
  key,
  key2,
  offset,
  length,
}) => {
  const attached = getAttached(sr);
  using locks = new ImageLocks(attached);
  const { from, to, way } = await readCatalog(attached, async ({ database }) => {
    const contents = { from: getContent(database, key), to: getContent(database, key2) };
    if (contents.from.volume?.readWrite === true) {
      throw changesUnknown(`The volume ${contents.from.name} is no snapshot, and so may have changed itself`);
    }
    const found = findWay(database, contents.from, contents.to);
    await hold(attached, locks, contents.to, found);
    return { ...contents, way: found };
  });
  waitsFor(`the storage of the SR in ${attached.path} to say what its images hold`, readingLimit);
  const sets = [from, to].map(readRecorded);
  for (const { image } of way) {
    sets.push(await readHeldBlocks(imageFile(attached.path, image), image));
  }
  const size = Number(to.size);
  sets.push(toBitmap([{ start: Number(from.size), length: size - Number(from.size) }], size));
  return answer(unite(sets), to.size, offset, BigInt(length));
};

/** Keeps images as they are while they are read. */
async function hold(
  sr: AttachedSr,
  locks: ImageLocks,
  { volume }: Content,
  way: readonly Step[],
): Promise<void> {
  waitsFor(`the storage of the SR in ${sr.path}`);
  if (volume?.readWrite === true) await locks.takeOf(volume, 'its changed blocks are listed', 'shared');
  for (const { image, parent } of way) {
    if (!(await locks.take(image, 'shared'))) {
      throw new PluginError(
        'ImagesBusy',
        'Images of this disk are being merged; ask again when that has ended, or take a full backup.',
      );
    }
    checkImage(sr.path, image, parent);
  }
}

function readRecorded({ name, changed }: Content): Uint8Array {
  if (changed === undefined) return new Uint8Array();
  try {
    return unpack(changed);
  } catch {
    throw changesUnknown(`What is recorded of the changes since the snapshot ${name} is damaged`);
  }
}

function answer(changed: Uint8Array, size: bigint, offset: bigint, length: bigint): ChangedBlocks {
  if (offset < 0n || offset > size) {
    throw new PluginError(
      'InvalidRange',
      `The disk has ${size} bytes and nothing at ${offset}; ask for a part of it.`,
    );
  }
  const end = length < 0n || offset + length > size ? size : offset + length;
  const first = Number(offset / BigInt(blockSize));
  const part = cut(changed, first, end <= offset ? first : Math.ceil(Number(end) / blockSize));
  return { granularity: blockSize, bitmap: Buffer.from(part).toString('base64') };
}
