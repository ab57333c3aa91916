import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { lockCatalog } from '../../volume/catalog/lock.ts';
import { VolumeHost } from '../support/volume-host.ts';

/** Dies by SIGKILL with changes spilled into the catalog, so that only the journal has the old content. */
const writer = `
  const { DatabaseSync } = require('node:sqlite');
  const database = new DatabaseSync('file:' + process.argv[1] + '?vfs=unix-none');
  database.exec('PRAGMA journal_mode = PERSIST; PRAGMA synchronous = FULL; PRAGMA cache_size = 1; PRAGMA cache_spill = 1');
  database.exec("BEGIN; UPDATE volumes SET name = 'half'; UPDATE keys SET value = hex(randomblob(2000)); UPDATE sr SET name = 'half'");
  process.kill(process.pid, 'SIGKILL');
`;

function firstByte(file: string): number {
  const fd = openSync(file, 'r');
  try {
    const byte = new Uint8Array(1);
    readSync(fd, byte);
    return byte[0] as number;
  } finally {
    closeSync(fd);
  }
}

describe('a catalog whose writer died in the midst of a change', () => {
  it('is read by many at once as it was before', async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr();
    const volumes = await Promise.all([host.makeVolume(), host.makeVolume(), host.makeVolume()]);
    const { key } = volumes[0] as (typeof volumes)[0];
    for (const k of ['a', 'b', 'c', 'd']) await host.call('Volume.set', { sr, key, k, v: 'x'.repeat(5000) });
    const before = await host.call('SR.ls', { sr });

    const child = spawn(process.execPath, ['-e', writer, join(host.path, 'catalog.sqlite')]);
    const [, signal] = await once(child, 'close');
    expect(signal).toBe('SIGKILL');
    const journal = join(host.path, 'catalog.sqlite-journal');
    expect(firstByte(journal)).not.toBe(0);

    const answers = await Promise.all(Array.from({ length: 6 }, () => host.call('SR.ls', { sr })));
    for (const answer of answers) expect(answer).toEqual(before);
    expect((await host.call('SR.stat', { sr })).name).toBe('an SR');
    expect(firstByte(journal)).toBe(0);
  });
});

describe('a catalog that another process holds', () => {
  it('is waited for no longer than the deadline, and the message names it', async () => {
    using host = new VolumeHost();
    await host.makeSr();
    const lock = join(host.path, 'locks/catalog');
    const holder = spawn('flock', ['--exclusive', '--no-fork', lock, 'sh', '-c', 'echo; exec sleep 60']);
    try {
      await once(holder.stdout, 'data');
      await expect(lockCatalog(host.path, 'shared', 100)).rejects.toMatchObject({
        name: 'LockTimeout',
        message: expect.stringMatching(
          `^Process ${holder.pid} .* has held the catalog of the SR in ${host.path} `,
        ),
      });
    } finally {
      const ended = once(holder, 'close');
      holder.kill('SIGKILL');
      await ended;
    }
    closeSync(await lockCatalog(host.path, 'exclusive', 0));
  });

  it('is shared by readers, and a call that waits goes on once it is free', async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr();
    const reader = await lockCatalog(host.path, 'shared');
    expect(await host.call('SR.ls', { sr })).toEqual([]);
    const creation = host.makeVolume();
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(host.images()).toEqual([]);
    closeSync(reader);
    const { key } = await creation;
    expect(await host.call('SR.ls', { sr })).toMatchObject([{ key }]);
  });
});
