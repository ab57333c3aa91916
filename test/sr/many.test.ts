import { execFileSync } from 'node:child_process';
import { readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, it } from 'vitest';
import { VolumeHost } from '../support/volume-host.ts';
import { entryFile, volumePluginFolder } from '../support/xapi.ts';

/** Adds volumes as Volume.create would, without a process for each. */
function addVolumes(host: VolumeHost, count: number): void {
  const database = new DatabaseSync(join(host.path, 'catalog.sqlite'));
  database.exec('PRAGMA journal_mode = PERSIST; BEGIN');
  const addImage = database.prepare("INSERT INTO images VALUES (?, 'raw', NULL, 4096, 0)");
  const addVolume = database.prepare(
    "INSERT INTO volumes (key, image, name, description, read_write, sharable) VALUES (?, ?, 'one of many', '', 1, 0)",
  );
  for (let index = 0; index < count; index++) {
    const image = crypto.randomUUID();
    const file = join(host.path, 'images', `${image}.raw`);
    writeFileSync(file, '');
    truncateSync(file, 4096);
    addImage.run(image);
    addVolume.run(crypto.randomUUID(), image);
  }
  database.exec('COMMIT');
  database.close();
}

it('an SR of more volumes than a process may have files open is listed and destroyed', async () => {
  using host = new VolumeHost();
  const sr = await host.makeSr();
  addVolumes(host, 600);
  expect(await host.call('SR.ls', { sr })).toHaveLength(600);
  // The entry file, for a test's own process may need more.
  execFileSync('prlimit', ['--nofile=256', entryFile(volumePluginFolder, 'SR.destroy'), 'test', sr], {
    env: { ...process.env, ...host.environment },
  });
  expect(readdirSync(host.path)).toEqual([]);
});
