import { existsSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { waitsFor } from '../../src/deadline.ts';
import { log } from '../../src/log.ts';
import { hasCbtMetadataOn } from '../catalog/cbt-metadata.ts';
import { inTransaction } from '../catalog/database.ts';
import { isFull, toStorageError } from '../catalog/errors.ts';
import {
  addImage,
  findImage,
  type Image,
  isNeeded,
  isWritable,
  listChain,
  removeImage,
  setParent,
  setPhysicalSize,
} from '../catalog/images.ts';
import { addIntent, makeLasting, removeIntent } from '../catalog/intents.ts';
import { findLabel } from '../catalog/labels.ts';
import { imageFile } from '../layout/sr-folder.ts';
import { allocatedSize } from './allocation.ts';
import { backingOn, setBacking } from './backing.ts';
import { checkImage } from './chain.ts';
import { type ImageCall, stopAt } from './fault-points.ts';
import { freeingLimit, makeImage, markFrozen, removeImageFile } from './files.ts';
import { formatDriver } from './format.ts';
import { labelImage } from './label.ts';
import type { ImageLocks } from './lock.ts';

/** A change of a tree of images, and of the volumes that are names for them. */
export interface TreeChange {
  readonly call: ImageCall;
  /** What it does, for the message of a failure, such as `a snapshot`. */
  readonly what: string;
  /** New images. A parent is an image of the catalog. */
  readonly makes: readonly Image[];
  /** Images that become parents, and so are never written again; their locks are taken. */
  readonly freezes: readonly Image[];
  /**
   * Images that may be needed by nobody afterwards, and then go, with their parents as far as that holds for them.
   * Snapshots whose data was destroyed are known by what is left, as far as that can be read.
   */
  readonly drops: readonly Image[];
  /** Images that get another parent than they have, whatever that holds; their locks are taken. */
  readonly rebases?: readonly { readonly image: Image; readonly parent: Image }[];
  /** Frozen images that become volumes'. */
  readonly adopts?: readonly Image[];
  /** Changes the volumes' rows. */
  readonly rows: () => void;
  /** Takes that back, where the first image that goes cannot be removed; without it the change stays. */
  readonly restoreRows?: () => void;
}

/**
 * Changes a tree of images under the exclusive lock of its catalog, in steps that a dead process's successor
 * finishes or undoes; see docs/sr-layout.md. A change that fails has changed nothing.
 *
 * @param locks those of `freezes` and of the first of `drops`; the locks of what is removed are added, to be
 * disposed of, which frees the blocks, after the catalog's.
 */
export async function changeTree(
  database: DatabaseSync,
  folder: string,
  locks: ImageLocks,
  change: TreeChange,
): Promise<void> {
  let dropped: readonly Image[];
  try {
    dropped = await prepareAndCommit(database, folder, locks, change);
  } catch (error) {
    throw toStorageError(error, change.what, folder);
  }
  stopAt(change.call, 'rows');
  for (const { image, parent } of change.rebases ?? []) {
    await setBacking(image, imageFile(folder, image), backingOn(parent), locks.fd(image));
    stopAt(change.call, 'rebased');
    markFrozen(imageFile(folder, image), !isWritable(database, image.uuid));
    removeIntent(database, image);
  }
  for (const [index, image] of dropped.entries()) {
    const file = imageFile(folder, image);
    try {
      if (!(await locks.take(image))) {
        // Who still reads an image that nobody else can come to: it goes when they are gone.
        makeLasting(database, image);
        continue;
      }
      waitsFor(`the storage of the SR in ${folder} to free the image ${file}`, freeingLimit);
      removeImageFile(file);
    } catch (error) {
      const restore = index === 0 && existsSync(file) ? change.restoreRows : undefined;
      if (restore !== undefined) {
        putBack(database, dropped, restore);
        throw toStorageError(error, change.what, folder);
      }
      warn(`the image ${file} is not removed yet`, error);
      continue;
    }
    stopAt(change.call, 'removed', index);
    removeIntent(database, image);
  }
}

async function prepareAndCommit(
  database: DatabaseSync,
  folder: string,
  locks: ImageLocks,
  change: TreeChange,
): Promise<readonly Image[]> {
  const { call, makes } = change;
  const rebased = (change.rebases ?? []).map(({ image }) => image);
  // Whoever opened an image with its old parent, after its rows name another one, would write on the wrong data.
  const freezes = [...change.freezes, ...rebased];
  const touched = [...makes, ...freezes];
  if (touched.length > 0) {
    inTransaction(database, () => {
      for (const image of touched) addIntent(database, image);
    });
    stopAt(call, 'intent');
  }
  try {
    const made: Image[] = [];
    for (const [index, image] of makes.entries()) {
      waitsFor(`the storage of the SR in ${folder} to make the image ${imageFile(folder, image)}`);
      made.push({ ...image, physicalSize: await makeOn(database, folder, image) });
      stopAt(call, 'made', index);
    }
    for (const image of freezes) {
      const file = imageFile(folder, image);
      await formatDriver(image.format).settle?.(file, locks.fd(image));
      markFrozen(file, true);
    }
    if (freezes.length > 0) stopAt(call, 'frozen');
    const leave = await prepareToLeave(database, folder, change);
    return commit(database, leave, (how) => {
      for (const image of made) addImage(database, image);
      for (const image of freezes) {
        setPhysicalSize(database, image.uuid, allocatedSize(imageFile(folder, image)) ?? image.physicalSize);
      }
      change.rows();
      for (const { image, parent } of change.rebases ?? []) setParent(database, image.uuid, parent.uuid);
      for (const image of [...touched, ...(change.adopts ?? [])]) {
        labelImage(imageFile(folder, image), findLabel(database, image.uuid));
      }
      for (const image of touched) removeIntent(database, image);
      // Until its file says so too, it is what has to be settled.
      for (const { image } of change.rebases ?? []) addIntent(database, image);
      return dropAll(database, change, how);
    });
  } catch (error) {
    undo(database, folder, change);
    throw error;
  }
}

/** Runs the change as one. Where there is no room for what changed since snapshots without data, that is forgotten. */
function commit<T>(database: DatabaseSync, leave: Leaving, change: (leave: Leave) => T): T {
  try {
    return inTransaction(database, () => change(leave.keep));
  } catch (error) {
    const { forget } = leave;
    if (forget === undefined || !isFull(error)) throw error;
    return inTransaction(database, () => change(forget));
  }
}

async function makeOn(database: DatabaseSync, folder: string, image: Image): Promise<bigint> {
  const parent = image.parent === undefined ? undefined : findImage(database, image.parent);
  if (parent !== undefined) {
    const grandparent = parent.parent === undefined ? undefined : findImage(database, parent.parent);
    checkImage(folder, parent, grandparent);
  }
  return await makeImage(folder, image, parent);
}

function dropAll(database: DatabaseSync, { drops }: TreeChange, leave: Leave): readonly Image[] {
  return drops.flatMap((image) => dropUnneeded(database, image.uuid, leave));
}

/** Removes the rows of an image that nobody needs, of its parent where then that holds for it, and so on. */
function dropUnneeded(database: DatabaseSync, uuid: string, leave: Leave): readonly Image[] {
  const image = isNeeded(database, uuid) ? undefined : findImage(database, uuid);
  if (image === undefined) return [];
  leave(image);
  removeImage(database, uuid);
  addIntent(database, image);
  return [image, ...(image.parent === undefined ? [] : dropUnneeded(database, image.parent, leave))];
}

/** What is done with an image before its row is removed. */
type Leave = (image: Image) => void;

interface Leaving {
  /** Has snapshots without data known by what is left. */
  readonly keep: Leave;
  /** Has them known by nothing, which takes no room; undefined where they are what the change is for. */
  readonly forget?: Leave;
}

/** Prepares for snapshots without data that are known by images that go. */
async function prepareToLeave(database: DatabaseSync, folder: string, change: TreeChange): Promise<Leaving> {
  const isKnown = ({ uuid }: Image): boolean => hasCbtMetadataOn(database, uuid);
  const mayGo = change.drops.flatMap((image) => listChain(database, image));
  if (change.call !== 'data_destroy' && !mayGo.some(isKnown)) return { keep: () => {} };
  const { leaveImage, readBeforeLeaving } = await import('../cbt/index.ts');
  const going: Image[] = [];
  tryOut(database, change, (image) => {
    if (!isKnown(image)) return;
    going.push(image);
    leaveImage(database, image, new Uint8Array());
  });
  const held = new Map<string, Uint8Array>();
  for (const image of going) {
    const file = imageFile(folder, image);
    try {
      const parent = image.parent === undefined ? undefined : findImage(database, image.parent);
      const blocks = await readBeforeLeaving(folder, image, parent);
      if (blocks !== undefined) held.set(image.uuid, blocks);
    } catch (error) {
      if (change.call === 'data_destroy') throw error;
      warn(
        `what changed since snapshots without data cannot be told any more without the image ${file}`,
        error,
      );
    }
  }
  const keep: Leave = (image) => leaveImage(database, image, held.get(image.uuid));
  return change.call === 'data_destroy'
    ? { keep }
    : { keep, forget: (image) => leaveImage(database, image, undefined) };
}

/** Tells which images go with a change, and changes nothing. */
function tryOut(database: DatabaseSync, change: TreeChange, leave: Leave): void {
  database.exec('BEGIN');
  try {
    for (const image of change.makes) addImage(database, image);
    change.rows();
    for (const { image, parent } of change.rebases ?? []) setParent(database, image.uuid, parent.uuid);
    dropAll(database, change, leave);
  } finally {
    database.exec('ROLLBACK');
  }
}

function putBack(database: DatabaseSync, dropped: readonly Image[], restoreRows: () => void): void {
  inTransaction(database, () => {
    for (const image of dropped.toReversed()) {
      addImage(database, image);
      removeIntent(database, image);
    }
    restoreRows();
  });
}

/**
 * Undoes what was done before the rows changed. What cannot be undone keeps its intents, for whoever comes next. A
 * transaction that failed may have been done all the same: what there are rows of stays as they say.
 */
function undo(database: DatabaseSync, folder: string, { makes, freezes, rebases = [] }: TreeChange): void {
  const frozen = [...freezes, ...rebases.map(({ image }) => image)];
  try {
    const isDone =
      makes.some(({ uuid }) => findImage(database, uuid) !== undefined) ||
      rebases.some(({ image, parent }) => findImage(database, image.uuid)?.parent === parent.uuid);
    if (isDone) return;
    for (const image of makes) removeImageFile(imageFile(folder, image));
    for (const image of frozen) markFrozen(imageFile(folder, image), !isWritable(database, image.uuid));
    inTransaction(database, () => {
      for (const image of [...makes, ...frozen]) removeIntent(database, image);
    });
  } catch (error) {
    warn(`a change of images in ${folder} is not undone yet`, error);
  }
}

function warn(what: string, error: unknown): void {
  log('warning', `${what}: ${error instanceof Error ? error.message : String(error)}`);
}
