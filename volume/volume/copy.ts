import { setTimeout as sleep } from 'node:timers/promises';
import { syncFile } from '../../src/atomic-file.ts';
import { waitsFor } from '../../src/deadline.ts';
import { log } from '../../src/log.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import type { Handler, Volume } from '../../src/smapi/interface.ts';
import { changeCatalog, readCatalog } from '../catalog/catalog.ts';
import { inTransaction } from '../catalog/database.ts';
import { toStorageError } from '../catalog/errors.ts';
import { addImage, findImage, type Image } from '../catalog/images.ts';
import { addIntent, makeLasting, removeIntent } from '../catalog/intents.ts';
import { addVolume, type VolumeRow } from '../catalog/volumes.ts';
import { allocatedSize } from '../images/allocation.ts';
import { stopAt } from '../images/fault-points.ts';
import { makeImage, removeImageFile } from '../images/files.ts';
import { describeVolume } from '../images/in-use.ts';
import { labelImage } from '../images/label.ts';
import { ImageLocks } from '../images/lock.ts';
import { qemuImg, reportPercent } from '../images/qemu-img.ts';
import { imageFile } from '../layout/sr-folder.ts';
import { type AttachedSr, getAttached } from '../sr/attached.ts';
import { type Progress, runAsTask } from '../task/run.ts';
import { getVolume } from './base.ts';
import { inheritedKeys, newVolume, statNew } from './new.ts';
import { roundSize } from './size.ts';
import { holdContent } from './source.ts';

/** Milliseconds for all data. */
const limit = 24 * 3_600_000;
/** Milliseconds that the lock of a new image is tried for. */
const lockPatience = 2_000;

/**
 * Volume.copy: makes a volume in an SR, this or another that is attached, with the content that one has now, and
 * images of its own. The copied volume can be read meanwhile, and not be written.
 *
 * It is a task, which can be cancelled, and leaves nothing then.
 *
 * The catalog is not locked meanwhile. What is there to be settled if this dies is an image without a row, whose
 * lock lasts as long as whoever writes it.
 *
 * @throws NamedError `Sr_not_attached`, `Volume_does_not_exist`, `Activated_on_another_host`, `Cancelled`; PluginError
 * `VolumeInUse` where it may be written, `CannotCopy` from and to vhd, `ImageDamaged`, `ImageMissing`, `ToolMissing`; NumberedError `NoSpace`;
 * as changeCatalog.
 */
export const copy: Handler<'Volume.copy'> = async ({ dbg, sr, key, dest_sr }) => {
  const from = getAttached(sr);
  const to = getAttached(dest_sr);
  return await runAsTask(
    { what: 'copy a volume', sr: to.uuid, dbg },
    (progress) => copyVolume(from, to, key, progress),
    (volume) => ['Volume', volume],
  );
};

async function copyVolume(
  from: AttachedSr,
  to: AttachedSr,
  key: string,
  progress: Progress,
): Promise<Volume> {
  using sourceLocks = new ImageLocks(from);
  using targetLocks = new ImageLocks(to);
  const source = await readCatalog(from, async (catalog) => {
    const row = getVolume(catalog.database, key);
    if (row.image.format === 'vhd') throw cannotCopy(row, 'it is in vhd');
    await holdContent(catalog, from.path, sourceLocks, row, 'it is copied');
    return row;
  });
  const image = await makeTarget(to, targetLocks, source);
  try {
    await fillTarget(from, sourceLocks, source.image, to, targetLocks, image, progress);
    stopAt('copy', 'filled');
    const filled = { ...image, physicalSize: allocatedSize(imageFile(to.path, image)) ?? 0n };
    const row = newVolume({
      name: source.name,
      description: source.description,
      readWrite: true,
      sharable: false,
      cbtEnabled: false,
      keys: inheritedKeys(source),
      image: filled,
    });
    return await changeCatalog(to, ({ database }) => {
      inTransaction(database, () => {
        addImage(database, filled);
        addVolume(database, row);
        removeIntent(database, image);
        labelImage(imageFile(to.path, image), row);
      });
      stopAt('copy', 'rows');
      return statNew(database, to, row.key);
    });
  } catch (error) {
    await giveUp(to, image);
    throw toStorageError(error, 'a copy of a volume', to.path);
  }
}

/** QEMU's tools can read and write images of all formats but vhd. */
function cannotCopy(row: VolumeRow, why: string): PluginError {
  return new PluginError(
    'CannotCopy',
    `The volume ${describeVolume(row)} cannot be copied by the storage, for ${why}, which only tapdisk reads and writes; copy its disk (xe vdi-copy).`,
  );
}

async function makeTarget(to: AttachedSr, locks: ImageLocks, source: VolumeRow): Promise<Image> {
  return await changeCatalog(to, async ({ database, imageFormat }) => {
    if (imageFormat === 'vhd') throw cannotCopy(source, 'the other SR has images in vhd');
    const image: Image = {
      uuid: crypto.randomUUID(),
      format: imageFormat,
      parent: undefined,
      virtualSize: roundSize(source.image.virtualSize, imageFormat),
      physicalSize: 0n,
    };
    inTransaction(database, () => {
      addIntent(database, image);
      makeLasting(database, image);
    });
    stopAt('copy', 'intent');
    try {
      await makeImage(to.path, image, undefined);
    } catch (error) {
      removeIntent(database, image);
      throw error;
    }
    await takeNew(locks, image, to.path);
    stopAt('copy', 'made');
    return image;
  });
}

/** What made an image may keep the lock that it inherited for a moment. */
async function takeNew(locks: ImageLocks, image: Image, folder: string): Promise<void> {
  for (const end = performance.now() + lockPatience; !(await locks.take(image)); await sleep(20)) {
    if (performance.now() < end) continue;
    throw new PluginError(
      'VolumeInUse',
      `The new image ${imageFile(folder, image)} is locked; repeat the call.`,
    );
  }
}

async function fillTarget(
  from: AttachedSr,
  sourceLocks: ImageLocks,
  source: Image,
  to: AttachedSr,
  targetLocks: ImageLocks,
  target: Image,
  { signal, report }: Progress,
): Promise<void> {
  const file = imageFile(to.path, target);
  waitsFor(`the storage of the SR in ${to.path} to take a copy of a volume`, limit);
  const formats = ['-f', source.format, '-O', target.format];
  // Written out of order and by several at once; what is not written reads as zeros already.
  const how = ['-p', '-n', '--target-is-zero', '-W', '-m', '8'];
  const inherit = [sourceLocks.fd(source), targetLocks.fd(target)].filter((fd) => fd !== undefined);
  await qemuImg(['convert', ...how, ...formats, imageFile(from.path, source), file], file, {
    inherit,
    signal,
    timeout: limit,
    onOutput: reportPercent(report),
  });
  syncFile(file);
}

async function giveUp(to: AttachedSr, image: Image): Promise<void> {
  try {
    await changeCatalog(to, ({ database }) => {
      // Its rows may be there, whatever their transaction answered.
      if (findImage(database, image.uuid) === undefined) removeImageFile(imageFile(to.path, image));
      removeIntent(database, image);
    });
  } catch (error) {
    log(
      'warning',
      `what a failed copy left in ${to.path} is not removed yet: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}
