/** Merging of two images below a disk that this host runs, by the disk's process; see docs/garbage-collection.md. */
import { closeSync, constants, openSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { listPausedDisks } from '../../datapath/live-control/disk-states.ts';
import {
  askMerge,
  endMerge,
  giveUpMerge,
  type LiveDisk,
  type MergeState,
  mayRunHere,
  startMerge,
  withRunningDisk,
} from '../../datapath/live-control/index.ts';
import { endGivingWay, isAskedToGiveWay, offerToGiveWay } from '../../src/locks/giving-way.ts';
import { log } from '../../src/log.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import { changeCatalog, readCatalog } from '../catalog/catalog.ts';
import { type Image, isWritable, listChain, listWritableBelow } from '../catalog/images.ts';
import { hasMerge, type Merge, removeMerge } from '../catalog/merges.ts';
import { checkChain } from '../images/chain.ts';
import { qemuImg } from '../images/qemu-img.ts';
import { imageUri } from '../images/uri.ts';
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
import { replaceChild } from './switch.ts';

/** Milliseconds between looks at how far it is, and at who needs the images. */
const lookInterval = 200;
/** Milliseconds to look all tables of an image over. */
const checkLimit = 3_600_000;

/** A merge that a disk's process is at. */
interface Begun {
  readonly disk: LiveDisk;
  readonly uri: string;
  readonly paths: { readonly parent: string; readonly child: string };
  /** Whether an earlier pass got as far as that. */
  readonly isWritten: boolean;
}

/**
 * Merges a child into its parent while a disk that builds on both runs on this host. Its guest goes on; nobody else has
 * the two images meanwhile.
 *
 * @returns undefined where no disk of this host builds on the two, or they are not in qcow2.
 * @throws PluginError `MergeFailed`, `DiskUnresponsive`, `ImageDamaged`, `ImageMissing`; the signal's reason; as
 * changeCatalog.
 */
export async function mergeRunning(
  sr: AttachedSr,
  merge: Merge,
  options: MergeOptions,
): Promise<MergeOutcome | undefined> {
  const found = await readCatalog(sr, ({ database }) => {
    const isHere = findUri(database, sr.path, merge) !== undefined;
    return isHere ? { isBegun: hasMerge(database, merge) } : undefined;
  });
  if (found === undefined) return undefined;
  // Clusters that are nobody's, of a merge whose process died, can be freed only when no disk has the image.
  const how = found.isBegun && !(await isInOrder(sr.path, merge)) ? 'go on' : 'begin';
  const begun = await changeCatalog(sr, ({ database }) => begin(database, sr, merge, how, options.rate));
  if (typeof begun !== 'object') return begun;
  stopAt('begun');
  const lock = openSync(begun.paths.parent, constants.O_RDONLY | constants.O_NOFOLLOW);
  let gaveWay = false;
  try {
    offerToGiveWay(lock);
    const said = begun.isWritten ? 'written' : await watch(begun, options, () => isAskedToGiveWay(lock));
    gaveWay = said === 'asked';
    if (said === 'written') {
      stopAt('written');
      return await changeCatalogInTime(sr, options.signal, (database) =>
        end(database, sr.path, merge, begun),
      );
    }
    // A process that is gone may have left something in the parent that only an offline merge can put in order.
    if (said === 'lost') return 'gave-way';
    await giveUp(sr, merge, begun);
    options.signal.throwIfAborted();
    return 'gave-way';
  } finally {
    if (!gaveWay) endGivingWay(lock);
    closeSync(lock);
  }
}

async function begin(
  database: DatabaseSync,
  sr: AttachedSr,
  merge: Merge,
  how: 'begin' | 'go on',
  rate: number | undefined,
): Promise<Begun | MergeOutcome | undefined> {
  const images = findMergeable(database, merge);
  if (images === undefined) return 'gone';
  const uri = findUri(database, sr.path, merge);
  if (uri === undefined) return undefined;
  checkChain(sr.path, listChain(database, images.child));
  if (!(await makeRoom(sr, images))) return 'no-room';
  return await withRunningDisk(uri, async (disk) => {
    const paths = pathsOf(sr.path, images);
    const isBegun = hasMerge(database, merge);
    if (!isBegun) {
      labelMerging(paths.parent);
      await recordMerge(database, sr.path, images);
    }
    stopAt('recorded');
    try {
      const started = await startMerge(disk, paths, how, rate);
      if (started !== 'busy') return { disk, uri, paths, isWritten: started === 'written' };
    } catch (error) {
      if (!isBegun) removeMerge(database, merge);
      throw error;
    }
    if (!isBegun) removeMerge(database, merge);
    return 'busy';
  });
}

type Said = 'written' | 'asked' | 'stopped' | 'lost';

async function watch(
  begun: Begun,
  { signal, onProgress }: MergeOptions,
  isAsked: () => boolean,
): Promise<Said> {
  for (;;) {
    if (signal.aborted) return 'stopped';
    if (isAsked()) return 'asked';
    const now = await ask(begun);
    switch (now.state) {
      case 'written':
        return 'written';
      case 'merging':
        onProgress(now.progress);
        break;
      case 'failed':
        throw new PluginError(
          'MergeFailed',
          `The image ${begun.paths.child} could not be merged into its parent under its running disk: ${now.why}.`,
        );
      case 'gone':
        return 'lost';
    }
    await sleep(lookInterval);
  }
}

async function ask({ disk, paths }: Begun): Promise<MergeState> {
  try {
    return await askMerge(disk, paths);
  } catch (error) {
    // Its guest was shut down.
    if (error instanceof PluginError && error.name === 'DiskUnresponsive') return { state: 'gone' };
    throw error;
  }
}

async function end(
  database: DatabaseSync,
  folder: string,
  merge: Merge,
  { uri, paths }: Begun,
): Promise<MergeOutcome> {
  const images = findMergeable(database, merge);
  const ended = await withRunningDisk(uri, async (disk) => {
    if (images === undefined) {
      await giveUpMerge(disk);
      return 'gone';
    }
    await endMerge(disk, paths);
    return 'merged';
  });
  if (ended === undefined) return 'gave-way';
  if (images === undefined) removeMerge(database, merge);
  else replaceChild(database, folder, images);
  return ended;
}

/** What the parent has of it stays, hidden by the child, and is of use to the next. */
async function giveUp(sr: AttachedSr, merge: Merge, { uri }: Begun): Promise<void> {
  const isStopped = await withRunningDisk(uri, async (disk) => {
    await giveUpMerge(disk);
    return true;
  });
  if (isStopped !== true) {
    log(
      'info',
      `the disk of ${uri} was shut down in the midst of a merge, which ends when nobody has its images`,
    );
    return;
  }
  await changeCatalog(sr, ({ database }) => removeMerge(database, merge));
}

/** Whether no cluster of a parent is nobody's; false also while it is written. */
async function isInOrder(folder: string, { parent }: Merge): Promise<boolean> {
  const file = imageFile(folder, { uuid: parent, format: 'qcow2' });
  try {
    await qemuImg(['check', '-q', '-U', '-f', 'qcow2', file], file, { timeout: checkLimit });
    return true;
  } catch (error) {
    if (!(error instanceof PluginError)) throw error;
    return false;
  }
}

/** The URI of a disk of this host that builds on the images of a merge, and that can merge them. */
function findUri(database: DatabaseSync, folder: string, merge: Merge): string | undefined {
  const images = findMergeable(database, merge);
  if (images?.parent.format !== 'qcow2' || images.child.format !== 'qcow2') return undefined;
  if (isWritable(database, images.child.uuid)) return undefined;
  const paused = new Set(listPausedDisks().map(({ path }) => path));
  const isHere = (leaf: Image): boolean =>
    !paused.has(imageFile(folder, leaf)) && mayRunHere(uriOf(folder, leaf));
  const leaf = listWritableBelow(database, images.child.uuid).find(isHere);
  return leaf === undefined ? undefined : uriOf(folder, leaf);
}

function uriOf(folder: string, leaf: Image): string {
  return imageUri(imageFile(folder, leaf), leaf.format, false);
}

function pathsOf(folder: string, { parent, child }: MergeImages): Begun['paths'] {
  return { parent: imageFile(folder, parent), child: imageFile(folder, child) };
}
