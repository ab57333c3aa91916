/** Rows of images. */
import type { DatabaseSync } from 'node:sqlite';
import { catalogDamaged } from './errors.ts';
import type { ImageFormat } from './schema.ts';

/** An image. */
export interface Image {
  readonly uuid: string;
  readonly format: ImageFormat;
  /** The image that has what this one does not hold itself, by its uuid. */
  readonly parent: string | undefined;
  /** Bytes. */
  readonly virtualSize: bigint;
  /** Bytes that it took on the storage when whoever had it looked last. */
  readonly physicalSize: bigint;
}

/** As columns of a result. */
type ImageRow = Omit<Image, 'parent'> & { readonly parent: string | null };

const columns = 'uuid, format, parent, virtual_size AS virtualSize, physical_size AS physicalSize';

function toImage(row: ImageRow): Image {
  return { ...row, parent: row.parent ?? undefined };
}

/** An image by its uuid. */
export function findImage(database: DatabaseSync, uuid: string): Image | undefined {
  const statement = database.prepare(`SELECT ${columns} FROM images WHERE uuid = ?`);
  statement.setReadBigInts(true);
  const row = statement.get(uuid) as unknown as ImageRow | undefined;
  return row === undefined ? undefined : toImage(row);
}

/** All images. */
export function listImages(database: DatabaseSync): readonly Image[] {
  const statement = database.prepare(`SELECT ${columns} FROM images`);
  statement.setReadBigInts(true);
  return (statement.all() as unknown as ImageRow[]).map(toImage);
}

/**
 * An image, its parent, and so on to the root.
 *
 * @throws PluginError `CatalogDamaged` where it leads to an image for the second time.
 */
export function listChain(database: DatabaseSync, leaf: Image): readonly Image[] {
  const chain = new Map<string, Image>();
  for (let image: Image | undefined = leaf; image !== undefined; ) {
    if (chain.has(image.uuid)) {
      throw catalogDamaged(`The image ${leaf.uuid} is its own ancestor, says the catalog`);
    }
    chain.set(image.uuid, image);
    image = image.parent === undefined ? undefined : findImage(database, image.parent);
  }
  return [...chain.values()];
}

/** Whether an image has a child, or is a volume's. */
export function isNeeded(database: DatabaseSync, uuid: string): boolean {
  const statement = database.prepare(
    'SELECT 1 FROM images WHERE parent = :uuid UNION ALL SELECT 1 FROM volumes WHERE image = :uuid LIMIT 1',
  );
  return statement.get({ uuid }) !== undefined;
}

/** Whether an image may be written: by its one volume, where no other image builds on it. */
export function isWritable(database: DatabaseSync, uuid: string): boolean {
  const statement = database.prepare(
    `SELECT 1 FROM volumes WHERE image = :uuid AND read_write = 1
      AND NOT EXISTS (SELECT 1 FROM images WHERE parent = :uuid)
      AND NOT EXISTS (SELECT 1 FROM volumes WHERE image = :uuid AND read_write = 0)`,
  );
  return statement.get({ uuid }) !== undefined;
}

/** Adds an image; its parent's row is there. */
export function addImage(database: DatabaseSync, image: Image): void {
  database
    .prepare('INSERT INTO images (uuid, format, parent, virtual_size, physical_size) VALUES (?, ?, ?, ?, ?)')
    .run(image.uuid, image.format, image.parent ?? null, image.virtualSize, image.physicalSize);
}

/** Removes an image's row. */
export function removeImage(database: DatabaseSync, uuid: string): void {
  database.prepare('DELETE FROM images WHERE uuid = ?').run(uuid);
}

/** Records an image's size. */
export function setVirtualSize(database: DatabaseSync, uuid: string, bytes: bigint): void {
  database.prepare('UPDATE images SET virtual_size = ? WHERE uuid = ?').run(bytes, uuid);
}

/** Records what an image takes on the storage. */
export function setPhysicalSize(database: DatabaseSync, uuid: string, bytes: bigint): void {
  database.prepare('UPDATE images SET physical_size = ? WHERE uuid = ?').run(bytes, uuid);
}

/** The images that build on one directly. */
export function listChildren(database: DatabaseSync, uuid: string): readonly Image[] {
  const statement = database.prepare(`SELECT ${columns} FROM images WHERE parent = ?`);
  statement.setReadBigInts(true);
  return (statement.all(uuid) as unknown as ImageRow[]).map(toImage);
}

/** The images of read-write volumes that build on one, directly or not. */
export function listWritableBelow(database: DatabaseSync, uuid: string): readonly Image[] {
  const statement = database.prepare(
    `WITH RECURSIVE below (image) AS (
      SELECT :uuid UNION SELECT images.uuid FROM images JOIN below ON images.parent = below.image
    ) SELECT ${columns} FROM images JOIN below ON uuid = below.image
      WHERE EXISTS (SELECT 1 FROM volumes WHERE volumes.image = uuid AND read_write = 1)`,
  );
  statement.setReadBigInts(true);
  return (statement.all({ uuid }) as unknown as ImageRow[]).map(toImage);
}

/** Records which image another one builds on. */
export function setParent(database: DatabaseSync, uuid: string, parent: string | undefined): void {
  database.prepare('UPDATE images SET parent = ? WHERE uuid = ?').run(parent ?? null, uuid);
}
