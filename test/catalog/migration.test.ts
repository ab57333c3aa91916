import { closeSync, openSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import { VolumeHost } from '../support/volume-host.ts';

/** The tables of version 1, as SR.create made them. */
const version1 = `
  CREATE TABLE sr (one INTEGER PRIMARY KEY CHECK (one = 1), uuid TEXT NOT NULL, name TEXT NOT NULL,
    description TEXT NOT NULL, destroying INTEGER NOT NULL DEFAULT 0) STRICT;
  CREATE TABLE images (uuid TEXT PRIMARY KEY, format TEXT NOT NULL, parent TEXT REFERENCES images (uuid),
    virtual_size INTEGER NOT NULL, physical_size INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE INDEX images_by_parent ON images (parent) WHERE parent IS NOT NULL;
  CREATE TABLE volumes (key TEXT PRIMARY KEY, image TEXT NOT NULL REFERENCES images (uuid), name TEXT NOT NULL,
    description TEXT NOT NULL, read_write INTEGER NOT NULL, sharable INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE INDEX volumes_by_image ON volumes (image);
  CREATE TABLE keys (volume TEXT NOT NULL REFERENCES volumes (key) ON DELETE CASCADE, name TEXT NOT NULL,
    value TEXT NOT NULL, PRIMARY KEY (volume, name)) STRICT, WITHOUT ROWID;
  CREATE TABLE intents (image TEXT PRIMARY KEY, format TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE hosts (uuid TEXT PRIMARY KEY, node_id INTEGER NOT NULL UNIQUE, name TEXT NOT NULL,
    initiator_name TEXT NOT NULL, lun_size INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  PRAGMA application_id = 0x67535201;
  PRAGMA user_version = 1;
`;

function describeTables(file: string): unknown {
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    const tables = database
      .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
      .all();
    const columns = tables.map(({ name }) => database.prepare(`PRAGMA table_info(${String(name)})`).all());
    const indices = database
      .prepare("SELECT name FROM sqlite_schema WHERE type = 'index' ORDER BY name")
      .all();
    return { version: database.prepare('PRAGMA user_version').get(), tables, columns, indices };
  } finally {
    database.close();
  }
}

/** Puts a catalog of version 1 with the same content in the place of an SR's. */
function downgrade(file: string): void {
  const old = `${file}.old`;
  closeSync(openSync(old, 'w', 0o600));
  const database = new DatabaseSync(old);
  database.exec(version1);
  database.exec(`
    ATTACH '${file}' AS new;
    INSERT INTO sr SELECT one, uuid, name, description, destroying FROM new.sr;
    INSERT INTO images SELECT * FROM new.images;
    INSERT INTO volumes SELECT key, image, name, description, read_write, sharable FROM new.volumes;
    INSERT INTO keys SELECT * FROM new.keys;
    INSERT INTO intents (image, format) VALUES ('00000000-0000-4000-8000-000000000000', 'raw');
    DETACH new;
    VACUUM INTO '${file}.vacuumed';
  `);
  database.close();
  rmSync(old);
  renameSync(`${file}.vacuumed`, file);
}

describe('a catalog of an earlier version', () => {
  it('is brought up to date by the first call, also by one that only reads, and keeps what it has', async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr();
    const { key } = await host.makeVolume();
    await host.call('Volume.set', { sr, key, k: 'a', v: 'b' });
    const before = await host.call('SR.ls', { sr });
    const file = join(host.path, 'catalog.sqlite');
    const fresh = describeTables(file);
    downgrade(file);
    expect(describeTables(file)).not.toEqual(fresh);

    const answers = await Promise.all([1, 2, 3].map(() => host.call('SR.ls', { sr })));
    for (const answer of answers) expect(answer).toEqual(before);
    expect(describeTables(file)).toEqual(fresh);
    expect((await host.call('Volume.snapshot', { sr, key })).read_write).toBe(false);
  });

  it('of a later version is refused in words', async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr();
    const database = new DatabaseSync(join(host.path, 'catalog.sqlite'));
    database.exec('PRAGMA user_version = 99');
    database.close();
    expect((await host.failure('SR.ls', { sr })).params).toEqual([
      'CatalogTooNew',
      expect.stringContaining('update the plugin on this host'),
    ]);
  });
});
