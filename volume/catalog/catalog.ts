/** Access to an SR's catalog under its lock; see docs/sr-layout.md. */
import { closeSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import type { LockMode } from '../../src/locks/flock.ts';
import { PluginError } from '../../src/smapi/errors.ts';
import { catalogFile } from '../layout/sr-folder.ts';
import { backUpWhenDue } from './backup-due.ts';
import { countChanges } from './change-count.ts';
import { hasHotJournal, isOutdated, openCatalog } from './database.ts';
import { toStorageError } from './errors.ts';
import { hasIntents } from './intents.ts';
import { lockCatalog } from './lock.ts';
import type { ImageFormat } from './schema.ts';

/** Where an SR is. */
export interface SrPlace {
  /** Absolute path of the SR's folder. */
  readonly path: string;
  /** Who it must be. */
  readonly uuid: string;
}

/** Who an SR says it is. */
export interface SrIdentity {
  readonly uuid: string;
  readonly name: string;
  readonly description: string;
}

/** An SR to be made. */
export interface NewSr extends SrIdentity {
  /** The format of the images of new volumes. */
  readonly imageFormat: ImageFormat;
}

/** An open catalog. */
export interface Catalog {
  readonly database: DatabaseSync;
  readonly identity: SrIdentity;
  /** Whether SR.destroy has begun and can only go on. */
  readonly destroying: boolean;
  /** The format of new volumes. */
  readonly imageFormat: ImageFormat;
}

/** For which calls a catalog is opened. */
export interface CatalogOptions {
  /** Also an SR that is being destroyed. */
  readonly evenDestroying?: boolean;
  /** Milliseconds to wait for others. */
  readonly patience?: number;
}

/**
 * Reads an SR's catalog together with others that read.
 *
 * @throws PluginError `SRUnreachable`, `CatalogDamaged`, `CatalogTooNew`, `SRBeingDestroyed`, `LockTimeout`.
 */
export async function readCatalog<T>(
  place: SrPlace,
  read: (catalog: Catalog) => T | Promise<T>,
  options: CatalogOptions = {},
): Promise<T> {
  const answer = await readUnlessUnsettled(place, (catalog) => {
    check(place, catalog, options);
    return read(catalog);
  });
  return answer === undefined ? await changeCatalog(place, read, options) : answer.value;
}

/**
 * Changes an SR's catalog, alone. What a dead process left half-done is settled first; a backup of it is made
 * afterwards, where one is due.
 *
 * @throws as {@link readCatalog}.
 */
export async function changeCatalog<T>(
  place: SrPlace,
  change: (catalog: Catalog) => T | Promise<T>,
  options: CatalogOptions = {},
): Promise<T> {
  const { path } = place;
  return await withLock(
    place,
    'exclusive',
    async () => {
      const before = countChanges(catalogFile(path));
      const answer = await withWritable(place, async (catalog) => {
        check(place, catalog, options);
        if (hasIntents(catalog.database, 'any')) {
          const { settleIntents } = await import('./settle.ts');
          await settleIntents(catalog.database, path);
        }
        return await change(catalog);
      });
      await backUpWhenDue(place, before);
      return answer;
    },
    options.patience,
  );
}

/**
 * Says which SR is in a folder.
 *
 * @throws as {@link readCatalog}.
 */
export async function identifySr(path: string): Promise<SrIdentity> {
  const read = ({ identity }: Catalog): SrIdentity => identity;
  const answer = await readUnlessUnsettled({ path }, read, false);
  if (answer !== undefined) return answer.value;
  return await withLock({ path }, 'exclusive', () => withWritable({ path }, read));
}

/** Undefined where there is something to settle, for which the exclusive lock is needed. */
async function readUnlessUnsettled<T>(
  place: FoundPlace,
  read: (catalog: Catalog) => T | Promise<T>,
  heedsIntents = true,
): Promise<{ value: T } | undefined> {
  const { path } = place;
  return await withLock(place, 'shared', async () => {
    // Readers must not roll a dead writer's change back: they are several, and do not see each other.
    if (hasHotJournal(path)) return undefined;
    const database = openCatalog(path, 'read', place.uuid);
    try {
      if (isOutdated(database)) return undefined;
      if (heedsIntents && hasIntents(database, 'passing')) return undefined;
      return { value: await read({ database, ...readIdentity(database) }) };
    } finally {
      database.close();
    }
  });
}

/** Where some SR is, which must be a certain one or not. */
type FoundPlace = Pick<SrPlace, 'path'> & Partial<SrPlace>;

async function withLock<T>(
  { path, uuid }: FoundPlace,
  mode: LockMode,
  body: () => Promise<T>,
  patience?: number,
): Promise<T> {
  const lock = await lockCatalog(path, mode, patience);
  try {
    return await body();
  } catch (error) {
    throw toStorageError(error, 'a look into its catalog or images', path, uuid);
  } finally {
    closeSync(lock);
  }
}

async function withWritable<T>(
  { path, uuid }: FoundPlace,
  use: (catalog: Catalog) => T | Promise<T>,
): Promise<T> {
  const database = openCatalog(path, 'write', uuid);
  try {
    return await use({ database, ...readIdentity(database) });
  } finally {
    database.close();
  }
}

function readIdentity(database: DatabaseSync): Omit<Catalog, 'database'> {
  const row = database
    .prepare('SELECT uuid, name, description, destroying, image_format AS imageFormat FROM sr')
    .get() as unknown as SrIdentity & { readonly destroying: number; readonly imageFormat: ImageFormat };
  const { uuid, name, description, destroying, imageFormat } = row;
  return { identity: { uuid, name, description }, destroying: destroying !== 0, imageFormat };
}

function check({ path, uuid }: SrPlace, { identity, destroying }: Catalog, options: CatalogOptions): void {
  if (identity.uuid !== uuid) {
    throw new PluginError(
      'SRUnreachable',
      `In ${path} is the SR ${identity.uuid} instead of ${uuid}; mount or restore what belongs there.`,
    );
  }
  if (destroying && options.evenDestroying !== true) {
    throw new PluginError(
      'SRBeingDestroyed',
      `The SR ${uuid} is half destroyed; run SR.destroy again to finish that.`,
    );
  }
}
