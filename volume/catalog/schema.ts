/** The catalog's tables. */

/**
 * `PRAGMA user_version` of the tables below; a catalog with a greater one is of a later plugin, and one with a
 * smaller one is brought up to date by migrate.ts.
 */
export const schemaVersion = 3;

/** `PRAGMA application_id`: "gSR" and 1. */
export const applicationId = 0x67535201;

/** Formats of images, which are also the ends of their files' names; best known first. */
export const imageFormats = ['raw', 'qcow2', 'vhd'] as const;
export type ImageFormat = (typeof imageFormats)[number];

/** Also what makes it in a catalog of version 1. */
export const cbtMetadataTable = `
  CREATE TABLE cbt_metadata (
    key TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    keys TEXT NOT NULL,
    virtual_size INTEGER NOT NULL,
    image TEXT REFERENCES images (uuid) ON DELETE SET NULL,
    changed BLOB
  ) STRICT;
  CREATE INDEX cbt_metadata_by_image ON cbt_metadata (image) WHERE image IS NOT NULL;
`;

/** Also what makes it in a catalog of version 1. */
export const mergesTable = `
  CREATE TABLE merges (
    parent TEXT PRIMARY KEY REFERENCES images (uuid) ON DELETE CASCADE,
    child TEXT NOT NULL UNIQUE REFERENCES images (uuid) ON DELETE CASCADE,
    switching INTEGER NOT NULL DEFAULT 0
  ) STRICT, WITHOUT ROWID;
`;

/** Also what makes it in a catalog of version 2. */
export const replacementsTable = `
  CREATE TABLE replacements (
    image TEXT PRIMARY KEY REFERENCES images (uuid) ON DELETE CASCADE,
    source TEXT NOT NULL,
    format TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
`;

/**
 * - sr: one row, who the SR is; `destroying` from when SR.destroy can no longer be undone; `image_format` of
 *   new volumes.
 * - images: one row for each file in `images/` that holds data; sizes in bytes. What a child does not hold
 *   itself it has from its parent. An image that has a child or is a read-only volume's is frozen: never written
 *   again. Every read-write volume has an image of its own.
 * - volumes: a volume is a name for an image; `cbt_enabled` where its changes are tracked, or, of a snapshot, were.
 * - keys: what Volume.set stored.
 * - intents: images whose file and rows may disagree, for a call is in the midst of changing both; `lasting` where
 *   that may go on without the catalog's lock, so that who only reads need not care.
 * - cbt_metadata: a snapshot whose data was destroyed: its content was that of `image` in all blocks but those of
 *   `changed` (see volume/cbt/bitmap.ts; none where null). `image` is null where that is not known any more, also
 *   for who removes an image without a thought of this table. `keys` is an object.
 * - merges: images into which their only child is being written, or was when that was stopped; `switching` while the
 *   parent's file takes the child's place.
 * - replacements: images whose file is that which is named after `source` still.
 * - hosts: the hosts that have a shared SR attached, each with the size of the LUN as it saw it.
 */
export const schema = `
  CREATE TABLE sr (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    uuid TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    destroying INTEGER NOT NULL DEFAULT 0,
    image_format TEXT NOT NULL DEFAULT 'raw'
  ) STRICT;
  CREATE TABLE images (
    uuid TEXT PRIMARY KEY,
    format TEXT NOT NULL,
    parent TEXT REFERENCES images (uuid),
    virtual_size INTEGER NOT NULL,
    physical_size INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX images_by_parent ON images (parent) WHERE parent IS NOT NULL;
  CREATE TABLE volumes (
    key TEXT PRIMARY KEY,
    image TEXT NOT NULL REFERENCES images (uuid),
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    read_write INTEGER NOT NULL,
    sharable INTEGER NOT NULL,
    cbt_enabled INTEGER NOT NULL DEFAULT 0
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX volumes_by_image ON volumes (image);
  CREATE TABLE keys (
    volume TEXT NOT NULL REFERENCES volumes (key) ON DELETE CASCADE,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (volume, name)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE intents (
    image TEXT PRIMARY KEY,
    format TEXT NOT NULL,
    lasting INTEGER NOT NULL DEFAULT 0
  ) STRICT, WITHOUT ROWID;
  ${cbtMetadataTable}
  ${mergesTable}
  ${replacementsTable}
  CREATE TABLE hosts (
    uuid TEXT PRIMARY KEY,
    node_id INTEGER NOT NULL UNIQUE,
    name TEXT NOT NULL,
    initiator_name TEXT NOT NULL,
    lun_size INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  PRAGMA application_id = ${applicationId};
  PRAGMA user_version = ${schemaVersion};
`;
