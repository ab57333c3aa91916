/** Rows of snapshots whose data was destroyed, and that are kept for what changed since; see docs/cbt.md. */
import type { DatabaseSync } from 'node:sqlite';
import type { VolumeRow } from './volumes.ts';

/** What a volume is to who names, labels and lists it. */
type Described = Pick<VolumeRow, 'key' | 'name' | 'description' | 'keys'>;

/** A snapshot without its data. */
export interface CbtMetadataRow extends Described {
  /** Bytes of the disk. */
  readonly virtualSize: bigint;
  /** Bytes that {@link CbtMetadata.changed} takes. */
  readonly physicalSize: bigint;
}

/** Which content such a snapshot had. */
export interface CbtMetadata extends CbtMetadataRow {
  /** The image with the same content in all other blocks, by its uuid; undefined where none is known any more. */
  readonly image: string | undefined;
  /** The blocks in which it may differ from the image's, packed; undefined where it does in none. */
  readonly changed: Uint8Array | undefined;
}

const columns =
  'key, name, description, keys, virtual_size AS virtualSize, ifnull(length(changed), 0) AS physicalSize';

type Found = Omit<CbtMetadata, 'keys' | 'image' | 'changed'> & {
  readonly keys: string;
  readonly image: string | null;
  readonly changed: Uint8Array | null;
};

function toKeys(keys: string): Readonly<Record<string, string>> {
  return JSON.parse(keys) as Record<string, string>;
}

/** A snapshot without its data, by its key. */
export function findCbtMetadata(database: DatabaseSync, key: string): CbtMetadata | undefined {
  const statement = database.prepare(`SELECT ${columns}, image, changed FROM cbt_metadata WHERE key = ?`);
  statement.setReadBigInts(true);
  const found = statement.get(key) as unknown as Found | undefined;
  if (found === undefined) return undefined;
  const { keys, image, changed } = found;
  return { ...found, keys: toKeys(keys), image: image ?? undefined, changed: changed ?? undefined };
}

/** All of them. */
export function listCbtMetadata(database: DatabaseSync): readonly CbtMetadataRow[] {
  const statement = database.prepare(`SELECT ${columns} FROM cbt_metadata`);
  statement.setReadBigInts(true);
  return (statement.all() as unknown as Found[]).map((found) => ({ ...found, keys: toKeys(found.keys) }));
}

/** The keys and changed blocks of those whose content is told by an image. */
export function listCbtMetadataOn(
  database: DatabaseSync,
  image: string,
): readonly Pick<CbtMetadata, 'key' | 'changed'>[] {
  const rows = database
    .prepare('SELECT key, changed FROM cbt_metadata WHERE image = ?')
    .all(image) as unknown as {
    readonly key: string;
    readonly changed: Uint8Array | null;
  }[];
  return rows.map(({ key, changed }) => ({ key, changed: changed ?? undefined }));
}

/** Whether the content of any is told by an image. */
export function hasCbtMetadataOn(database: DatabaseSync, image: string): boolean {
  return database.prepare('SELECT 1 FROM cbt_metadata WHERE image = ? LIMIT 1').get(image) !== undefined;
}

/** Adds one whose content is that of an image. */
export function addCbtMetadata(
  database: DatabaseSync,
  { key, name, description, keys }: Described,
  { uuid, virtualSize }: { readonly uuid: string; readonly virtualSize: bigint },
): void {
  database
    .prepare(
      'INSERT INTO cbt_metadata (key, name, description, keys, virtual_size, image) VALUES (?, ?, ?, ?, ?, ?)',
    )
    .run(key, name, description, JSON.stringify(keys), virtualSize, uuid);
}

/** Records that the content of one is told by another image. */
export function moveCbtMetadata(
  database: DatabaseSync,
  key: string,
  image: string | undefined,
  changed: Uint8Array | undefined,
): void {
  database
    .prepare('UPDATE cbt_metadata SET image = ?, changed = ? WHERE key = ?')
    .run(image ?? null, changed ?? null, key);
}

/** Removes one; false where there is none of this key. */
export function removeCbtMetadata(database: DatabaseSync, key: string): boolean {
  return database.prepare('DELETE FROM cbt_metadata WHERE key = ?').run(key).changes === 1;
}

/** Changes the name, the description or the keys of one; false where there is none of this key. */
export function describeCbtMetadata(
  database: DatabaseSync,
  key: string,
  change: (row: Described) => Partial<Omit<Described, 'key'>>,
): boolean {
  const row = findCbtMetadata(database, key);
  if (row === undefined) return false;
  const { name, description, keys } = { ...row, ...change(row) };
  database
    .prepare('UPDATE cbt_metadata SET name = ?, description = ?, keys = ? WHERE key = ?')
    .run(name, description, JSON.stringify(keys), key);
  return true;
}
