/** Rows of images. */
import type { DatabaseSync } from 'node:sqlite';
import type { ImageFormat } from './schema.ts';

/** An image. */
export interface Image {
  readonly uuid: string;
  readonly format: ImageFormat;
  /** Bytes. */
  readonly virtualSize: bigint;
  /** Bytes that it took on the storage when whoever had it looked last. */
  readonly physicalSize: bigint;
}

const columns = 'uuid, format, virtual_size AS virtualSize, physical_size AS physicalSize';

/** An image by its uuid. */
export function findImage(database: DatabaseSync, uuid: string): Image | undefined {
  const statement = database.prepare(`SELECT ${columns} FROM images WHERE uuid = ?`);
  statement.setReadBigInts(true);
  return statement.get(uuid) as unknown as Image | undefined;
}

/** All images. */
export function listImages(database: DatabaseSync): readonly Image[] {
  const statement = database.prepare(`SELECT ${columns} FROM images`);
  statement.setReadBigInts(true);
  return statement.all() as unknown as Image[];
}

/** Adds an image. */
export function addImage(database: DatabaseSync, image: Image): void {
  database
    .prepare('INSERT INTO images (uuid, format, virtual_size, physical_size) VALUES (?, ?, ?, ?)')
    .run(image.uuid, image.format, image.virtualSize, image.physicalSize);
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
