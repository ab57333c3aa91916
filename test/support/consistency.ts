import { statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect } from 'vitest';
import { checkImageFile } from './disk.ts';
import type { VolumeHost } from './volume-host.ts';

/**
 * What must hold whenever no call is under way: catalog and files say the same, every image is in order and is
 * needed, and what may be written is what a volume writes.
 */
export function checkConsistent(host: VolumeHost): void {
  const { path } = host;
  const database = new DatabaseSync(join(path, 'catalog.sqlite'), { readOnly: true });
  try {
    expect(database.prepare('PRAGMA integrity_check').all()).toEqual([{ integrity_check: 'ok' }]);
    expect(database.prepare('PRAGMA foreign_key_check').all()).toEqual([]);
    expect(database.prepare('SELECT * FROM intents').all()).toEqual([]);
    const rows = database
      .prepare(
        `SELECT uuid || '.' || format AS name,
          (SELECT count(*) FROM images AS child WHERE child.parent = images.uuid) AS children,
          (SELECT count(*) FROM volumes WHERE image = uuid AND read_write = 1) AS writers,
          (SELECT count(*) FROM volumes WHERE image = uuid AND read_write = 0) AS snapshots
        FROM images ORDER BY name`,
      )
      .all() as { name: string; children: number; writers: number; snapshots: number }[];
    expect(rows.map(({ name }) => name)).toEqual(host.images());
    for (const { name, children, writers, snapshots } of rows) {
      const file = join(path, 'images', name);
      checkImageFile(file);
      expect(children + writers + snapshots, `users of ${name}`).toBeGreaterThan(0);
      expect(writers === 0 || (writers === 1 && children + snapshots === 0), `writers of ${name}`).toBe(true);
      expect(statSync(file).mode & 0o777, `mode of ${name}`).toBe(writers === 1 ? 0o600 : 0o400);
    }
  } finally {
    database.close();
  }
}
