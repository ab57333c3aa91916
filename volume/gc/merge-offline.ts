/** Merging of an image into its parent while no disk runs on either; see docs/garbage-collection.md. */
import type { DatabaseSync } from 'node:sqlite';
import { syncFile } from '../../src/atomic-file.ts';
import { endGivingWay, isAskedToGiveWay, offerToGiveWay } from '../../src/locks/giving-way.ts';
import { changeCatalog } from '../catalog/catalog.ts';
import { listChain, listChildren } from '../catalog/images.ts';
import { hasMerge, type Merge, removeMerge } from '../catalog/merges.ts';
import { checkChain } from '../images/chain.ts';
import { formatDriver } from '../images/format.ts';
import { ImageLocks } from '../images/lock.ts';
import { qemuImg, reportPercent } from '../images/qemu-img.ts';
import { vhdUtil } from '../images/vhd-util.ts';
import { imageFile } from '../layout/sr-folder.ts';
import type { AttachedSr } from '../sr/attached.ts';
import { findMergeable, type MergeImages } from './candidates.ts';
import { stopAt } from './fault-points.ts';
import {
  changeCatalogInTime,
  labelMerging,
  type MergeOptions,
  type MergeOutcome,
  makeRoom,
  recordMerge,
} from './merge-steps.ts';
import { moveToParent, replaceChild } from './switch.ts';

/** Milliseconds for all data of an image, and to look its tables over. */
const limit = 7 * 24 * 3_600_000;
/** Milliseconds between looks at who needs the images. */
const lookInterval = 200;

/**
 * Merges a child into its parent. Nobody but this has the images meanwhile, and nobody the parents below them alone.
 * The catalog is free for others but for the beginning and the end.
 *
 * @throws PluginError `ImageDamaged`, `ImageMissing`, `ToolMissing`, `ImageToolFailed`; NumberedError `NoSpace`; the
 * signal's reason; as changeCatalog.
 */
export async function mergeOffline(
  sr: AttachedSr,
  merge: Merge,
  options: MergeOptions,
): Promise<MergeOutcome> {
  // Disposed of after the catalog is free for others: that frees the child's blocks.
  using locks = new ImageLocks(sr, { background: true });
  const begun = await begin(sr, merge, locks);
  if (typeof begun === 'string') return begun;
  stopAt('begun');
  const { images, isRepeated } = begun;
  const fds = [images.parent, images.child].map((image) => locks.fd(image)).filter((fd) => fd !== undefined);
  for (const fd of fds) offerToGiveWay(fd);
  const gaveWay = new AbortController();
  const timer = setInterval(() => {
    if (fds.some(isAskedToGiveWay)) gaveWay.abort();
  }, lookInterval);
  const signal = AbortSignal.any([options.signal, gaveWay.signal]);
  let outcome: MergeOutcome;
  try {
    await write(sr.path, images, fds, isRepeated, { ...options, signal });
    stopAt('written');
    outcome = await changeCatalogInTime(sr, signal, (database) => endIn(database, sr.path, merge, locks));
  } catch (error) {
    if (options.signal.aborted) await leaveInOrder(sr, merge, images, fds);
    if (options.signal.aborted || !gaveWay.signal.aborted) throw error;
    outcome = 'gave-way';
  } finally {
    clearInterval(timer);
    if (!gaveWay.signal.aborted) for (const fd of fds) endGivingWay(fd);
  }
  locks.unlock();
  return outcome;
}

interface Begun {
  readonly images: MergeImages;
  /** Whether an earlier merge was stopped, whose qemu-img may have left clusters that are nobody's. */
  readonly isRepeated: boolean;
}

async function begin(sr: AttachedSr, merge: Merge, locks: ImageLocks): Promise<Begun | MergeOutcome> {
  return await changeCatalog(sr, async ({ database }) => {
    const images = findMergeable(database, merge);
    if (images === undefined) return 'gone';
    const { parent, child } = images;
    for (const image of listChain(database, child)) {
      const isMerged = image.uuid === parent.uuid || image.uuid === child.uuid;
      // The child first: where a disk runs on it, that has its parents too.
      if (!(await locks.take(image, isMerged ? 'exclusive' : 'shared'))) return 'busy';
    }
    checkChain(sr.path, listChain(database, child));
    if (!(await makeRoom(sr, images))) return 'no-room';
    const isRepeated = hasMerge(database, merge);
    await recordMerge(database, sr.path, images);
    return { images, isRepeated };
  });
}

async function write(
  folder: string,
  { parent, child }: MergeImages,
  inherit: readonly number[],
  isRepeated: boolean,
  { signal, rate, onProgress }: MergeOptions,
): Promise<void> {
  const file = imageFile(folder, parent);
  labelMerging(file);
  if (isRepeated) await freeLeaks(file, parent.format, inherit, signal);
  if (child.format === 'vhd') {
    await coalesce(folder, { parent, child }, inherit, signal, onProgress);
    syncFile(file);
    return;
  }
  // -d: the child keeps what it holds, and so hides whatever the parent has of this merge, until it is removed.
  const limits = rate === undefined ? [] : ['-r', String(rate)];
  const childFile = imageFile(folder, child);
  await qemuImg(['commit', '-p', '-d', '-f', child.format, ...limits, childFile], childFile, {
    inherit,
    signal,
    timeout: limit,
    onOutput: reportPercent(onProgress),
  });
  syncFile(file);
}

/** Writes what a child in vhd holds into its parent; it keeps that itself. */
async function coalesce(
  folder: string,
  { parent, child }: MergeImages,
  inherit: readonly number[],
  signal: AbortSignal,
  onProgress: (progress: number) => void,
): Promise<void> {
  const childFile = imageFile(folder, child);
  const [lock] = inherit;
  if (lock !== undefined) {
    await formatDriver(parent.format).grow(imageFile(folder, parent), child.virtualSize, lock);
  }
  await vhdUtil(['coalesce', '-p', '-n', childFile], childFile, {
    inherit,
    signal,
    timeout: limit,
    onOutput: (text) => {
      const percent = /([\d.]+)%\s*$/.exec(text)?.[1];
      if (percent !== undefined) onProgress(Number(percent) / 100);
    },
  });
}

/** qcow2's tables are written in such an order that a qemu-img which died has left no worse than that. */
async function freeLeaks(
  file: string,
  format: string,
  inherit: readonly number[],
  signal?: AbortSignal,
): Promise<void> {
  if (format !== 'qcow2') return;
  await qemuImg(['check', '-q', '-r', 'leaks', '-f', format, file], file, {
    inherit,
    ...(signal === undefined ? {} : { signal }),
    timeout: limit,
  });
}

/** After a merge was cancelled. What the parent has of it stays, hidden by the child, and is of use to the next. */
async function leaveInOrder(
  sr: AttachedSr,
  merge: Merge,
  { parent }: MergeImages,
  inherit: readonly number[],
): Promise<void> {
  await freeLeaks(imageFile(sr.path, parent), parent.format, inherit);
  await changeCatalog(sr, ({ database }) => removeMerge(database, merge));
}

async function endIn(
  database: DatabaseSync,
  folder: string,
  merge: Merge,
  locks: ImageLocks,
): Promise<MergeOutcome> {
  const images = findMergeable(database, merge);
  if (images === undefined) {
    removeMerge(database, merge);
    return 'gone';
  }
  // In vhd, children know their parent by a uuid in its file, so that no other file can take its place unnoticed.
  if (images.parent.format === images.child.format && images.child.format !== 'vhd') {
    replaceChild(database, folder, images);
    return 'merged';
  }
  for (const image of listChildren(database, images.child.uuid)) {
    if (!(await locks.take(image))) return 'busy';
  }
  await moveToParent(database, folder, locks, images);
  return 'merged';
}
