import { existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { readQcow2Header } from '../../src/qcow2/header.ts';
import { imageOf, VolumeHost } from '../support/volume-host.ts';
import { volumeCaller } from '../support/xapi.ts';

const newVolume = { name: 'new', description: '', size: 8192n, sharable: false };

function diskSize(image: string): bigint {
  return image.endsWith('.qcow2') ? readQcow2Header(image).size : statSync(image, { bigint: true }).size;
}

/** What must hold whenever no call is under way: the catalog and the files say the same. */
async function checkConsistent(host: VolumeHost): Promise<void> {
  const volumes = await host.call('SR.ls', { sr: host.uuid });
  expect(volumes.map((volume) => imageOf(volume).replace(/.*\//, '')).sort()).toEqual(host.images());
  for (const volume of volumes) expect(diskSize(imageOf(volume))).toBe(volume.virtual_size);
  const { DatabaseSync } = await import('node:sqlite');
  const database = new DatabaseSync(join(host.path, 'catalog.sqlite'), { readOnly: true });
  try {
    expect(database.prepare('PRAGMA integrity_check').all()).toEqual([{ integrity_check: 'ok' }]);
    expect(database.prepare('PRAGMA foreign_key_check').all()).toEqual([]);
    expect(database.prepare('SELECT * FROM intents').all()).toEqual([]);
    const rows = database.prepare('SELECT (SELECT count(*) FROM images) AS images').get();
    expect(rows).toEqual({ images: volumes.length });
  } finally {
    database.close();
  }
}

describe('after kill -9', () => {
  it.each([
    ['create.intent', 0],
    ['create.made', 0],
    ['create.rows', 1],
  ])('of Volume.create at %s, the next call leaves %d volumes', async (fault, count) => {
    using host = new VolumeHost();
    const sr = await host.makeSr();
    const valid = await host.makeVolume();
    await host.die(fault, 'Volume.create', { sr, ...newVolume });
    expect(await host.call('Volume.stat', { sr, key: valid.key })).toEqual(valid);
    expect(await host.call('SR.ls', { sr })).toHaveLength(1 + count);
    await checkConsistent(host);
  });

  it.each(['destroy.rows', 'destroy.removed'])(
    'of Volume.destroy at %s, the next call finishes it',
    async (fault) => {
      using host = new VolumeHost();
      const sr = await host.makeSr();
      const valid = await host.makeVolume();
      const { key } = await host.makeVolume();
      await host.call('Volume.set', { sr, key, k: 'a', v: 'b' });
      await host.die(fault, 'Volume.destroy', { sr, key });
      expect(await host.call('SR.ls', { sr })).toEqual([valid]);
      await checkConsistent(host);
      await host.call('Volume.destroy', { sr, key });
    },
  );

  it.each(['resize.intent', 'resize.grown'])(
    'of Volume.resize at %s, catalog and disk have one size and all data',
    async (fault) => {
      using host = new VolumeHost();
      const sr = await host.makeSr({ 'image-format': 'raw' });
      const volume = await host.makeVolume(4096n);
      const { key } = volume;
      writeFileSync(imageOf(volume), 'x'.repeat(4096));
      await host.die(fault, 'Volume.resize', { sr, key, new_size: 1n << 20n });
      const after = await host.call('Volume.stat', { sr, key });
      expect(after.virtual_size).toBe(fault === 'resize.grown' ? 1n << 20n : 4096n);
      await checkConsistent(host);
      await host.call('Volume.resize', { sr, key, new_size: 1n << 20n });
      await checkConsistent(host);
    },
  );

  it('of the call that was to clean up, the one after it does', async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr();
    await host.die('create.made', 'Volume.create', { sr, ...newVolume });
    await host.die('settle.removed', 'SR.ls', { sr });
    expect(await host.call('SR.ls', { sr })).toEqual([]);
    await checkConsistent(host);
  });

  it.each(['create.locked', 'create.catalog', 'create.named'])(
    'of SR.create at %s, another SR.create succeeds or finds the SR',
    async (fault) => {
      using host = new VolumeHost();
      const parameters = {
        uuid: host.uuid,
        configuration: { provider: 'path', path: host.path },
        name: '',
        description: '',
      };
      await host.die(fault, 'SR.create', parameters);
      if (fault !== 'create.named') {
        const { params } = await host.failure('SR.attach', {
          configuration: { ...parameters.configuration, sr_uuid: host.uuid },
        });
        expect(params[0]).toBe('SRUnreachable');
      }
      const configuration = await host.call('SR.create', parameters);
      const sr = await host.call('SR.attach', { configuration });
      await host.makeVolume();
      await checkConsistent(host);
      await host.call('SR.destroy', { sr });
      expect(readdirSync(host.path)).toEqual([]);
    },
  );

  it.each(['destroy.marked', 'destroy.image', 'destroy.catalog', 'destroy.lock'])(
    'of SR.destroy at %s, a repeat completes it',
    async (fault) => {
      using host = new VolumeHost();
      const sr = await host.makeSr();
      const { key } = await host.makeVolume();
      await host.makeVolume();
      writeFileSync(join(host.path, 'foreign'), '');
      await host.die(fault, 'SR.destroy', { sr });
      if (fault === 'destroy.marked' || fault === 'destroy.image') {
        expect((await host.call('SR.stat', { sr })).health[0]).toBe('Recovering');
        expect((await host.failure('Volume.stat', { sr, key })).params[0]).toBe('SRBeingDestroyed');
        expect((await host.failure('Volume.create', { sr, ...newVolume })).params[0]).toBe(
          'SRBeingDestroyed',
        );
      }
      await host.call('SR.destroy', { sr });
      expect(readdirSync(host.path)).toEqual(['foreign']);
      expect((await host.failure('SR.destroy', { sr })).params).toEqual(['Sr_not_attached', sr]);
    },
  );

  it.each(['destroy.marked', 'destroy.image', 'destroy.catalog', 'destroy.lock'])(
    'of SR.destroy at %s and a reboot, its directory serves again',
    async (fault) => {
      using host = new VolumeHost();
      const sr = await host.makeSr();
      await host.makeVolume();
      await host.die(fault, 'SR.destroy', { sr });
      rmSync(host.environment.GFS2_SR_RUN_DIR, { recursive: true });
      const configuration = { provider: 'path', path: host.path };
      if (existsSync(join(host.path, 'catalog.sqlite'))) {
        await host.call('SR.attach', { configuration: { ...configuration, sr_uuid: sr } });
        await host.call('SR.destroy', { sr });
      }
      const uuid = crypto.randomUUID();
      expect(await host.call('SR.create', { uuid, configuration, name: '', description: '' })).toMatchObject({
        sr_uuid: uuid,
      });
    },
  );

  it('is nothing that an installed plugin can be told to do', async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr();
    const call = volumeCaller({ ...host.environment, GFS2_SR_FAULT: 'create.intent' });
    await call('Volume.create', { sr, ...newVolume });
    await checkConsistent(host);
  });

  it('of calls at any moment, nothing valid is lost and nothing half-made stays', async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr();
    const kept = await host.makeVolume();
    await host.call('Volume.set', { sr, key: kept.key, k: 'count', v: '0' });
    // Past the start of the process, when it is at work: measured, not guessed.
    let begun = performance.now();
    await host.call('Volume.create', { sr, ...newVolume });
    let whole = performance.now() - begun;
    let killed = 0;
    for (let round = 0; round < 24; round++) {
      const volumes = await host.call('SR.ls', { sr });
      const victim = volumes.find(({ key }) => key !== kept.key);
      const child =
        round % 2 === 0 || victim === undefined
          ? host.start('Volume.create', { sr, ...newVolume })
          : host.start('Volume.destroy', { sr, key: victim.key });
      begun = performance.now();
      const ended = new Promise<number>((resolve) =>
        child.once('close', () => resolve(performance.now() - begun)),
      );
      await sleep(whole * (0.6 + 0.45 * Math.random()));
      if (child.kill('SIGKILL')) {
        killed++;
        await ended;
      } else {
        // The machine is less busy than it was.
        whole = await ended;
      }
      const now = await host.call('SR.ls', { sr });
      expect(Math.abs(now.length - volumes.length)).toBeLessThanOrEqual(1);
    }
    expect(killed).toBeGreaterThan(0);
    expect(await host.call('Volume.stat', { sr, key: kept.key })).toMatchObject({ keys: { count: '0' } });
    await checkConsistent(host);
  });
});
