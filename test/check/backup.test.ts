/** Backup copies of the catalog: when they are made, and what is one. */
import { existsSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, it } from 'vitest';
import { VolumeHost } from '../support/volume-host.ts';

const folderOf = (host: VolumeHost): string => join(host.path, 'backups');
const backupsOf = (host: VolumeHost): readonly string[] => readdirSync(folderOf(host)).sort();
const complete = /^catalog-\d{10}\.sqlite$/;

/** Lets the last backup be two hours old. */
function age(host: VolumeHost): void {
  const then = new Date(Date.now() - 7_200_000);
  utimesSync(folderOf(host), then, then);
}

function volumesIn(file: string): number {
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    expect(database.prepare('PRAGMA integrity_check').all()).toEqual([{ integrity_check: 'ok' }]);
    return Number(database.prepare('SELECT count(*) AS count FROM volumes').get()?.count);
  } finally {
    database.close();
  }
}

it('SR.attach makes one, and the first change after an hour the next', async () => {
  using host = new VolumeHost();
  await host.makeSr();
  expect(backupsOf(host)).toHaveLength(1);
  await host.makeVolume();
  await host.attachSr();
  expect(backupsOf(host)).toHaveLength(1);
  age(host);
  await host.call('SR.ls', { sr: host.uuid });
  expect(backupsOf(host)).toHaveLength(1);
  await host.makeVolume();
  const [first = '', second = ''] = backupsOf(host);
  expect(first).toMatch(complete);
  expect(second).toMatch(complete);
  expect(volumesIn(join(folderOf(host), first))).toBe(0);
  expect(volumesIn(join(folderOf(host), second))).toBe(2);
  expect(statSync(join(folderOf(host), second)).mode & 0o777).toBe(0o600);
});

it('one is made after many changes, and a few are kept', async () => {
  using host = new VolumeHost();
  const sr = await host.makeSr();
  const { key } = await host.makeVolume();
  for (let round = 0; round < 64; round++) await host.call('Volume.set', { sr, key, k: 'a', v: `${round}` });
  expect(backupsOf(host)).toHaveLength(2);
  for (let round = 0; round < 7; round++) {
    age(host);
    await host.call('Volume.set', { sr, key, k: 'b', v: `${round}` });
  }
  expect(backupsOf(host)).toHaveLength(6);
  expect(volumesIn(join(folderOf(host), backupsOf(host)[0] ?? ''))).toBe(1);
});

it('a damaged catalog pushes no good backup out', async () => {
  using host = new VolumeHost();
  const sr = await host.makeSr();
  const { key } = await host.makeVolume();
  age(host);
  await host.call('Volume.set', { sr, key, k: 'a', v: 'b' });
  const before = backupsOf(host);
  const database = new DatabaseSync(join(host.path, 'catalog.sqlite'));
  // Pages that belong to nothing: calls go on, and a check finds it.
  database.enableDefensive(false);
  database.exec("PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'volumes_by_image'");
  database.close();
  age(host);
  await host.call('Volume.set', { sr, key, k: 'a', v: 'c' });
  expect(backupsOf(host)).toEqual(before);
});

it.each(['backup.copied', 'backup.named'])('killed at %s, a call leaves none that is half', async (fault) => {
  using host = new VolumeHost();
  const sr = await host.makeSr();
  const { key } = await host.makeVolume();
  age(host);
  await host.die(fault, 'Volume.set', { sr, key, k: 'a', v: 'b' });
  for (const name of backupsOf(host).filter((found) => complete.test(found))) {
    volumesIn(join(folderOf(host), name));
  }
  age(host);
  await host.call('Volume.set', { sr, key, k: 'a', v: 'c' });
  expect(backupsOf(host).filter((name) => !complete.test(name))).toEqual([]);
  expect(volumesIn(join(folderOf(host), backupsOf(host).at(-1) ?? ''))).toBe(1);
  expect((await host.call('Volume.stat', { sr, key })).keys).toEqual({ a: 'c' });
});

it('a backup that cannot be made fails no call', async () => {
  using host = new VolumeHost();
  const sr = await host.makeSr();
  rmSync(folderOf(host), { recursive: true });
  writeFileSync(folderOf(host), '');
  const { key } = await host.makeVolume();
  utimesSync(folderOf(host), 0, 0);
  await host.call('Volume.set', { sr, key, k: 'a', v: 'b' });
  expect((await host.call('Volume.stat', { sr, key })).keys).toEqual({ a: 'b' });
  rmSync(folderOf(host));
});

it('SR.destroy removes them', async () => {
  using host = new VolumeHost();
  const sr = await host.makeSr();
  await host.call('SR.destroy', { sr });
  expect(existsSync(folderOf(host))).toBe(false);
});

it('a catalog that is missing or damaged names the command that repairs it, and hinders no attach', async () => {
  using host = new VolumeHost();
  const sr = await host.makeSr();
  for (const damage of [
    () => rmSync(join(host.path, 'catalog.sqlite')),
    () => writeFileSync(join(host.path, 'catalog.sqlite'), 'x'.repeat(8192)),
    () => writeFileSync(join(host.path, 'catalog.sqlite'), ''),
  ]) {
    damage();
    const { params } = await host.failure('SR.ls', { sr });
    expect(params[0]).toBe('CatalogDamaged');
    expect(params[1]).toContain(`gfs2-sr sr repair ${sr}`);
    expect((await host.call('SR.stat', { sr })).health[0]).toBe('Unreachable');
    await host.call('SR.detach', { sr });
    expect(await host.attachSr()).toBe(sr);
  }
});
