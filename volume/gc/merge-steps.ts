/** What merges have in common, whoever writes. */
import type { DatabaseSync } from 'node:sqlite';
import { syncFile } from '../../src/atomic-file.ts';
import { changeCatalog } from '../catalog/catalog.ts';
import { inTransaction } from '../catalog/database.ts';
import { isLockTimeout } from '../catalog/errors.ts';
import { addMerge } from '../catalog/merges.ts';
import { beforeMerge } from '../cbt/index.ts';
import { labelImage } from '../images/label.ts';
import { loadProvider } from '../providers/provider.ts';
import type { AttachedSr } from '../sr/attached.ts';
import type { MergeImages } from './candidates.ts';
import { releaseReserve, sizeOfReserve } from './reserve.ts';
import { roomFor } from './room.ts';

/** How a merge goes about it. */
export interface MergeOptions {
  /** Stops it; it is in order then, and goes on another time. */
  readonly signal: AbortSignal;
  /** Bytes a second at most; undefined for as fast as it goes. */
  readonly rate: number | undefined;
  /** Told how far it is, from 0 to 1. */
  readonly onProgress: (progress: number) => void;
}

/**
 * What came of a merge: `busy` where a disk runs on one of the images, or a call is at work on it, on any host;
 * `gone` where there is nothing to merge any more; `no-room` where the storage has none for what the child holds and
 * the parent does not; `gave-way` where someone needed the images before it was done.
 */
export type MergeOutcome = 'merged' | 'busy' | 'gone' | 'no-room' | 'gave-way';

/** Milliseconds that the catalog is waited for at once. */
const catalogPatience = 500;

/**
 * Sees to it that the storage has room for a merge, giving up the reserve for it.
 *
 * @returns false where it has not.
 */
export async function makeRoom(sr: AttachedSr, images: MergeImages): Promise<boolean> {
  const { space } = await loadProvider(sr.provider);
  const { free } = space(sr);
  const needed = await roomFor(sr.path, images, free);
  if (needed <= free) return true;
  if (needed > free + sizeOfReserve(sr.path)) return false;
  releaseReserve(sr.path);
  return true;
}

/** Records that a merge is begun. */
export async function recordMerge(
  database: DatabaseSync,
  folder: string,
  { parent, child }: MergeImages,
): Promise<void> {
  const recordChanges = await beforeMerge(database, folder, parent, child);
  inTransaction(database, () => {
    addMerge(database, { parent: parent.uuid, child: child.uuid });
    recordChanges();
  });
}

/** Has a parent's file say, durably, that it is written: a repair from rows of before must not take it for what it was. */
export function labelMerging(file: string): void {
  labelImage(file, 'merging');
  syncFile(file);
}

/**
 * Waits for the catalog as long as it takes, unless whoever has it waits for the images.
 *
 * @throws the signal's reason; as changeCatalog.
 */
export async function changeCatalogInTime<T>(
  sr: AttachedSr,
  signal: AbortSignal,
  change: (database: DatabaseSync) => Promise<T> | T,
): Promise<T> {
  for (;;) {
    try {
      return await changeCatalog(sr, ({ database }) => change(database), { patience: catalogPatience });
    } catch (error) {
      if (!isLockTimeout(error)) throw error;
      signal.throwIfAborted();
    }
  }
}
