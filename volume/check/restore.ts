/** A catalog made anew where the one that was there cannot be used. */
import { rmSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { copyDurably, findDamageOfBackup, listBackups } from '../catalog/backup.ts';
import type { NewSr } from '../catalog/catalog.ts';
import { inTransaction, makeDurable, openDatabase, versionOf } from '../catalog/database.ts';
import { migrate } from '../catalog/migrate.ts';
import { imageFormats, schemaVersion } from '../catalog/schema.ts';
import { makeEmptyCatalog } from '../layout/new-catalog.ts';
import type { AttachedSr } from '../sr/attached.ts';
import { type Contents, readContents, type StoredVolume, salvageContents } from './contents.ts';

/** A catalog made anew. */
export interface RestoredCatalog {
  /** Where its rows are from, such as `the backup …`. */
  readonly source: string;
  /** Backups that are newer, and damaged as well. */
  readonly damagedBackups: readonly string[];
  readonly database: DatabaseSync;
  /** Its rows. */
  readonly before: Contents;
  /** Those, and what could be read from the damaged catalog. */
  readonly contents: Contents;
}

/**
 * Makes a catalog from the newest backup that is good, or an empty one, as `file`.
 *
 * What it has is of some time ago: no call is at work on what it says is being worked at, and what was known of
 * changed blocks may have changed.
 *
 * @param damaged what was there, as far as it can be opened.
 * @param hasImage whether there is an image of some uuid.
 */
export function restoreCatalog(
  sr: AttachedSr,
  file: string,
  damaged: DatabaseSync | undefined,
  hasImage: (uuid: string) => boolean,
): RestoredCatalog {
  for (const remains of [file, `${file}-journal`]) rmSync(remains, { force: true });
  const damagedBackups: string[] = [];
  const backup = listBackups(sr.path).find((candidate) => {
    const isGood = findDamageOfBackup(candidate.file, sr.uuid) === undefined;
    if (!isGood) damagedBackups.push(candidate.file);
    return isGood;
  });
  if (backup === undefined) makeEmptyCatalog(file, identify(sr, damaged));
  else copyDurably(backup.file, file);
  const database = openDatabase(file, 'write');
  makeDurable(database);
  inTransaction(database, () => {
    const version = versionOf(database);
    if (version < schemaVersion) migrate(database, version);
    database.exec(
      `DELETE FROM intents; DELETE FROM merges; DELETE FROM replacements; UPDATE volumes SET cbt_enabled = 0;
        UPDATE cbt_metadata SET image = NULL, changed = NULL`,
    );
  });
  const before = readContents(database);
  return {
    source: backup === undefined ? 'nothing, for there is no good backup' : `the backup ${backup.file}`,
    damagedBackups,
    database,
    before,
    contents: damaged === undefined ? before : merge(before, salvageContents(damaged), hasImage),
  };
}

/** Rows that outlived the damage are newer than those of a backup, and yet only as good as their image is there. */
function merge(restored: Contents, salvaged: Contents, hasImage: (uuid: string) => boolean): Contents {
  const volumes = new Map(restored.volumes);
  for (const volume of salvaged.volumes.values()) {
    const known = restored.volumes.get(volume.key);
    if (known === undefined || hasImage(volume.image)) volumes.set(volume.key, combine(known, volume));
  }
  return { images: restored.images, volumes };
}

function combine(known: StoredVolume | undefined, volume: StoredVolume): StoredVolume {
  const combined = { ...volume, keys: { ...known?.keys, ...volume.keys } };
  return JSON.stringify(known) === JSON.stringify(combined) && known !== undefined ? known : combined;
}

function identify({ uuid, name, description }: AttachedSr, damaged: DatabaseSync | undefined): NewSr {
  let row: Record<string, unknown> | undefined;
  try {
    row = damaged?.prepare('SELECT name, description, image_format FROM sr').get();
  } catch {
    // Then this host's record of it says who it is.
  }
  const text = (value: unknown, otherwise: string): string => (typeof value === 'string' ? value : otherwise);
  return {
    uuid,
    name: text(row?.name, name),
    description: text(row?.description, description),
    imageFormat: imageFormats.find((format) => format === row?.image_format) ?? 'raw',
  };
}
