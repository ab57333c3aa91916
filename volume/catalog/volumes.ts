/** Rows of volumes, and of the keys that Volume.set stores. */
import type { DatabaseSync } from 'node:sqlite';
import type { Image } from './images.ts';
import type { ImageFormat } from './schema.ts';

/** A volume with its image. */
export interface VolumeRow {
  readonly key: string;
  readonly name: string;
  readonly description: string;
  readonly readWrite: boolean;
  readonly sharable: boolean;
  /** Whether its changes are tracked; of a snapshot, whether they were when it was taken. */
  readonly cbtEnabled: boolean;
  readonly keys: Readonly<Record<string, string>>;
  readonly image: Image;
}

const query = `
  SELECT key, name, description, read_write, sharable, cbt_enabled, format, parent, virtual_size, physical_size, images.uuid AS image,
    (SELECT json_group_object(keys.name, value) FROM keys WHERE volume = key) AS keys
  FROM volumes JOIN images ON images.uuid = volumes.image`;

interface Found {
  readonly key: string;
  readonly name: string;
  readonly description: string;
  readonly read_write: bigint;
  readonly sharable: bigint;
  readonly cbt_enabled: bigint;
  readonly keys: string;
  readonly image: string;
  readonly format: ImageFormat;
  readonly parent: string | null;
  readonly virtual_size: bigint;
  readonly physical_size: bigint;
}

function toRow(found: Found): VolumeRow {
  return {
    key: found.key,
    name: found.name,
    description: found.description,
    readWrite: found.read_write !== 0n,
    sharable: found.sharable !== 0n,
    cbtEnabled: found.cbt_enabled !== 0n,
    keys: JSON.parse(found.keys) as Record<string, string>,
    image: {
      uuid: found.image,
      format: found.format,
      parent: found.parent ?? undefined,
      virtualSize: found.virtual_size,
      physicalSize: found.physical_size,
    },
  };
}

/** A volume by its key. */
export function findVolume(database: DatabaseSync, key: string): VolumeRow | undefined {
  const statement = database.prepare(`${query} WHERE key = ?`);
  statement.setReadBigInts(true);
  const found = statement.get(key) as unknown as Found | undefined;
  return found === undefined ? undefined : toRow(found);
}

/** All volumes, in one query. */
export function listVolumes(database: DatabaseSync): readonly VolumeRow[] {
  const statement = database.prepare(query);
  statement.setReadBigInts(true);
  return (statement.all() as unknown as Found[]).map(toRow);
}

/** The keys of all volumes, and the uuids of their images. */
export function listImagesOfVolumes(
  database: DatabaseSync,
): readonly { readonly key: string; readonly image: string }[] {
  return database.prepare('SELECT key, image FROM volumes').all() as unknown as {
    readonly key: string;
    readonly image: string;
  }[];
}

/** Adds a volume and its keys; its image's row is there. */
export function addVolume(database: DatabaseSync, row: VolumeRow): void {
  database
    .prepare(
      `INSERT INTO volumes (key, image, name, description, read_write, sharable, cbt_enabled)
        VALUES (?, ?, ?, ?, ?, ?, ?)`,
    )
    .run(
      row.key,
      row.image.uuid,
      row.name,
      row.description,
      Number(row.readWrite),
      Number(row.sharable),
      Number(row.cbtEnabled),
    );
  for (const [name, value] of Object.entries(row.keys)) setKey(database, row.key, name, value);
}

/** Makes a volume the name of another image. */
export function setVolumeImage(database: DatabaseSync, key: string, image: string): void {
  database.prepare('UPDATE volumes SET image = ? WHERE key = ?').run(image, key);
}

/** Records whether the changes of a volume are tracked. */
export function setCbtEnabled(database: DatabaseSync, key: string, enabled: boolean): void {
  database.prepare('UPDATE volumes SET cbt_enabled = ? WHERE key = ?').run(Number(enabled), key);
}

/** Removes a volume and its keys, not its image. */
export function removeVolume(database: DatabaseSync, key: string): void {
  database.prepare('DELETE FROM volumes WHERE key = ?').run(key);
}

/** Changes a volume's name; false where there is no such volume. */
export function setVolumeName(database: DatabaseSync, key: string, name: string): boolean {
  return database.prepare('UPDATE volumes SET name = ? WHERE key = ?').run(name, key).changes === 1;
}

/** Changes a volume's description; false where there is no such volume. */
export function setVolumeDescription(database: DatabaseSync, key: string, description: string): boolean {
  return (
    database.prepare('UPDATE volumes SET description = ? WHERE key = ?').run(description, key).changes === 1
  );
}

/** Whether there is a volume of this key. */
export function hasVolume(database: DatabaseSync, key: string): boolean {
  return database.prepare('SELECT 1 FROM volumes WHERE key = ?').get(key) !== undefined;
}

/** Whether a volume's image is another volume's too, or has a child. */
export function sharesImage(database: DatabaseSync, { key, image }: VolumeRow): boolean {
  const statement = database.prepare(
    `SELECT 1 FROM images WHERE parent = :image
      UNION ALL SELECT 1 FROM volumes WHERE image = :image AND key <> :key LIMIT 1`,
  );
  return statement.get({ image: image.uuid, key }) !== undefined;
}

/** Stores a key and value with a volume that is there. */
export function setKey(database: DatabaseSync, volume: string, name: string, value: string): void {
  database
    .prepare('INSERT INTO keys VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value')
    .run(volume, name, value);
}

/** Forgets a key of a volume. */
export function unsetKey(database: DatabaseSync, volume: string, name: string): void {
  database.prepare('DELETE FROM keys WHERE volume = ? AND name = ?').run(volume, name);
}
