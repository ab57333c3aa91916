/**
 * What changed between two snapshots, for whoever changes trees of images; see docs/cbt.md.
 *
 * A snapshot whose data was destroyed is known by an image and a set of blocks: in all other blocks its content was
 * the image's. What changes or removes a frozen image has to call what is here, or its snapshots' content is taken
 * for another. Removing the image's row alone is safe: then it is not known any more.
 *
 * A merge of `child` into `parent`, in whichever file:
 *
 * 1. Images are chosen. Where a row of `cbt_metadata` names the parent, the child must be frozen: nobody could tell
 *    what is written to it from then on from what was before.
 * 2. With the locks of both: `const record = await beforeMerge(...)`, and `record()` in the transaction that records
 *    the intent, before any file changes.
 * 3. `afterMerge(...)` in the transaction that gives the child's content to another image, before a row is removed.
 */
import type { DatabaseSync } from 'node:sqlite';
import { waitsFor } from '../../src/deadline.ts';
import { hasCbtMetadataOn, listCbtMetadataOn, moveCbtMetadata } from '../catalog/cbt-metadata.ts';
import { type Image, isWritable } from '../catalog/images.ts';
import { readingLimit } from '../images/allocation-map.ts';
import { checkImage } from '../images/chain.ts';
import { imageFile } from '../layout/sr-folder.ts';
import { pack, unite, unpack } from './bitmap.ts';
import { readHeldBlocks } from './held-blocks.ts';

/**
 * Prepares for the merge of a frozen image with its one child, whose content stays.
 *
 * @returns what records in the caller's transaction, before any file changes, that the snapshots known by the parent
 * are known by the child. That is true also where the merge is given up.
 * @throws RangeError where the child must not be merged; PluginError `ImageDamaged`, `ImageMissing`, `ToolMissing`,
 * `ToolTooOld`, `ImageToolFailed`.
 */
export async function beforeMerge(
  database: DatabaseSync,
  folder: string,
  parent: Image,
  child: Image,
): Promise<() => void> {
  if (!hasCbtMetadataOn(database, parent.uuid)) return () => {};
  if (isWritable(database, child.uuid)) {
    throw new RangeError(
      `The image ${child.uuid} is still written, and so cannot be merged with what is kept of snapshots.`,
    );
  }
  const held = await readHeld(folder, child, parent);
  return () => moveAll(database, parent.uuid, child.uuid, held);
}

/** Records that what was a child's content is another image's, in the transaction in which it is for volumes. */
export function afterMerge(database: DatabaseSync, child: string, merged: string): void {
  for (const { key, changed } of listCbtMetadataOn(database, child)) {
    moveCbtMetadata(database, key, merged, changed);
  }
}

/**
 * The blocks that an image holds itself, for {@link leaveImage}; nothing writes to it.
 *
 * @throws as {@link beforeMerge}.
 */
export async function readBeforeLeaving(
  folder: string,
  image: Image,
  parent: Image | undefined,
): Promise<Uint8Array | undefined> {
  if (parent === undefined) return undefined;
  return await readHeld(folder, image, parent);
}

/**
 * Records, before an image's row is removed, that the snapshots known by it are known by its parent.
 *
 * @param held the blocks that it holds itself; undefined where that is not known.
 */
export function leaveImage(database: DatabaseSync, image: Image, held: Uint8Array | undefined): void {
  const parent = held === undefined ? undefined : image.parent;
  moveAll(database, image.uuid, parent, held ?? new Uint8Array());
}

async function readHeld(folder: string, image: Image, parent: Image): Promise<Uint8Array> {
  const file = imageFile(folder, image);
  waitsFor(`the storage of the SR in ${folder} to say what the image ${file} holds`, readingLimit);
  checkImage(folder, image, parent);
  return await readHeldBlocks(file, image);
}

function moveAll(database: DatabaseSync, from: string, to: string | undefined, held: Uint8Array): void {
  for (const { key, changed } of listCbtMetadataOn(database, from)) {
    const recorded = changed === undefined ? new Uint8Array() : tryUnpack(changed);
    if (to === undefined || recorded === undefined) moveCbtMetadata(database, key, undefined, undefined);
    else moveCbtMetadata(database, key, to, pack(unite([recorded, held])));
  }
}

/** Undefined for what is damaged: whoever removes a volume need not care, and who asks for changes is told. */
function tryUnpack(packed: Uint8Array): Uint8Array | undefined {
  try {
    return unpack(packed);
  } catch {
    return undefined;
  }
}
