/** The rows of a catalog that a check is about, as they are: also those that disagree with each other. */
import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import { isUuid } from '../../src/uuid.ts';
import { inTransaction } from '../catalog/database.ts';
import type { Image } from '../catalog/images.ts';
import { addIntent } from '../catalog/intents.ts';
import { type ImageFormat, imageFormats } from '../catalog/schema.ts';
import { setKey } from '../catalog/volumes.ts';

/** A volume's row and keys. */
export interface StoredVolume {
  readonly key: string;
  /** The uuid of its image, whether that has a row or not. */
  readonly image: string;
  readonly name: string;
  readonly description: string;
  readonly readWrite: boolean;
  readonly sharable: boolean;
  readonly keys: Readonly<Record<string, string>>;
}

/** Images by uuid and volumes by key. */
export interface Contents {
  readonly images: ReadonlyMap<string, Image>;
  readonly volumes: ReadonlyMap<string, StoredVolume>;
}

type Row = Readonly<Record<string, SQLOutputValue>>;

const imagesTable = 'SELECT uuid, format, parent, virtual_size, physical_size FROM images';
const volumesTable = 'SELECT key, image, name, description, read_write, sharable FROM volumes';
const keysTable = 'SELECT volume, name, value FROM keys';

/** All rows. */
export function readContents(database: DatabaseSync): Contents {
  return toContents((table) => {
    const statement = database.prepare(table);
    statement.setReadBigInts(true);
    return statement.all();
  });
}

/** Those rows of a damaged catalog that can be read: what comes before its damage, and what comes after it. */
export function salvageContents(database: DatabaseSync): Contents {
  return toContents((table) => [
    ...readWhilePossible(database, table),
    ...readWhilePossible(database, `${table} ORDER BY 1 DESC`),
  ]);
}

function readWhilePossible(database: DatabaseSync, query: string): readonly Row[] {
  const rows: Row[] = [];
  try {
    const statement = database.prepare(query);
    statement.setReadBigInts(true);
    for (const row of statement.iterate()) rows.push(row);
  } catch {
    // What follows is beyond the damage.
  }
  return rows;
}

function toContents(read: (table: string) => readonly Row[]): Contents {
  const keys = new Map<string, Record<string, string>>();
  for (const { volume, name, value } of read(keysTable)) {
    const found = keys.get(String(volume)) ?? {};
    keys.set(String(volume), { ...found, [String(name)]: String(value) });
  }
  const images = read(imagesTable).flatMap((row) => toImage(row) ?? []);
  const volumes = read(volumesTable).flatMap((row) => toVolume(row, keys) ?? []);
  return {
    images: new Map(images.map((image) => [image.uuid, image])),
    volumes: new Map(volumes.map((volume) => [volume.key, volume])),
  };
}

function toImage(row: Row): Image | undefined {
  const { uuid, format, parent, virtual_size: virtualSize, physical_size: physicalSize } = row;
  if (typeof uuid !== 'string' || !isUuid(uuid) || !isFormat(format)) return undefined;
  if (typeof virtualSize !== 'bigint' || typeof physicalSize !== 'bigint') return undefined;
  return { uuid, format, parent: parent === null ? undefined : String(parent), virtualSize, physicalSize };
}

function toVolume(
  row: Row,
  keys: ReadonlyMap<string, Readonly<Record<string, string>>>,
): StoredVolume | undefined {
  const { key, image, name, description, read_write: readWrite, sharable } = row;
  if (typeof key !== 'string' || !isUuid(key) || typeof image !== 'string') return undefined;
  return {
    key,
    image,
    name: String(name),
    description: String(description),
    readWrite: readWrite !== 0n,
    sharable: sharable !== 0n,
    keys: keys.get(key) ?? {},
  };
}

function isFormat(text: unknown): text is ImageFormat {
  return imageFormats.some((format) => format === text);
}

/**
 * Makes a catalog's rows those of `after`, in one transaction; where nothing differs nothing is written.
 *
 * @param before what the rows are.
 * @param unsettled images whose files are then to be made what the rows say; see settleIntents.
 */
export function writeContents(
  database: DatabaseSync,
  before: Contents,
  after: Contents,
  unsettled: readonly Image[],
): void {
  const putImage = database.prepare(
    `INSERT INTO images (uuid, format, parent, virtual_size, physical_size) VALUES (?, ?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET format = excluded.format, parent = excluded.parent, virtual_size = excluded.virtual_size`,
  );
  const putVolume = database.prepare(
    `INSERT INTO volumes (key, image, name, description, read_write, sharable) VALUES (?, ?, ?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET image = excluded.image, name = excluded.name, description = excluded.description,
        read_write = excluded.read_write, sharable = excluded.sharable`,
  );
  inTransaction(database, () => {
    // Rows that name each other come in any order, and some name what was never there.
    database.exec('PRAGMA defer_foreign_keys = ON');
    for (const image of after.images.values()) {
      if (before.images.get(image.uuid) === image) continue;
      const { uuid, format, parent, virtualSize, physicalSize } = image;
      putImage.run(uuid, format, parent ?? null, virtualSize, physicalSize);
    }
    for (const volume of after.volumes.values()) {
      if (before.volumes.get(volume.key) === volume) continue;
      const { key, image, name, description, readWrite, sharable } = volume;
      putVolume.run(key, image, name, description, Number(readWrite), Number(sharable));
      for (const [label, value] of Object.entries(volume.keys)) setKey(database, key, label, value);
    }
    for (const key of before.volumes.keys()) {
      if (!after.volumes.has(key)) database.prepare('DELETE FROM volumes WHERE key = ?').run(key);
    }
    for (const uuid of before.images.keys()) {
      if (!after.images.has(uuid)) database.prepare('DELETE FROM images WHERE uuid = ?').run(uuid);
    }
    database.exec('DELETE FROM keys WHERE volume NOT IN (SELECT key FROM volumes)');
    for (const image of unsettled) addIntent(database, image);
  });
}
