import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { VolumeHost } from '../support/volume-host.ts';

describe('an SR in a directory', () => {
  it('is created, attached, described, renamed, detached and destroyed', async () => {
    using host = new VolumeHost();
    const configuration = await host.call('SR.create', {
      uuid: host.uuid,
      configuration: { provider: 'path', path: host.path },
      name: 'Größe ☃',
      description: '',
    });
    expect(configuration).toEqual({ provider: 'path', path: host.path, sr_uuid: host.uuid });
    const sr = await host.call('SR.attach', { configuration });
    expect(sr).toBe(host.uuid);

    await host.call('SR.set_name', { sr, new_name: 'new name' });
    await host.call('SR.set_description', { sr, new_description: 'a "quoted"\nline' });
    const stat = await host.call('SR.stat', { sr });
    expect(stat).toMatchObject({
      sr,
      uuid: host.uuid,
      name: 'new name',
      description: 'a "quoted"\nline',
      clustered: false,
      datasources: [],
      health: ['Healthy', ''],
    });
    expect(stat.free_space).toBeGreaterThan(0n);
    expect(stat.total_space).toBeGreaterThanOrEqual(stat.free_space);
    expect(await host.call('SR.ls', { sr })).toEqual([]);

    await host.call('SR.detach', { sr });
    await host.call('SR.attach', { configuration });
    expect(await host.call('SR.stat', { sr })).toMatchObject({ name: 'new name' });
    await host.makeVolume();
    await host.call('SR.destroy', { sr });
    expect(readdirSync(host.path)).toEqual([]);
    expect((await host.failure('SR.stat', { sr })).params).toEqual(['Sr_not_attached', sr]);
  });

  it('answers Sr_not_attached after SR.detach, and SR.detach itself succeeds again', async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr();
    const { key } = await host.makeVolume();
    await host.call('SR.detach', { sr });
    await host.call('SR.detach', { sr });
    await host.call('SR.detach', { sr: 'never heard of' });
    const failures = await Promise.all([
      host.failure('SR.stat', { sr }),
      host.failure('SR.ls', { sr }),
      host.failure('SR.destroy', { sr }),
      host.failure('Volume.stat', { sr, key }),
      host.failure('Volume.destroy', { sr, key }),
    ]);
    for (const { params } of failures) expect(params).toEqual(['Sr_not_attached', sr]);
  });

  it('can be attached again, and after a reboot, with its volumes', async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr();
    const { key } = await host.makeVolume();
    const attach = { configuration: { provider: 'path', path: host.path, sr_uuid: host.uuid } };
    expect(await host.call('SR.attach', attach)).toBe(sr);
    rmSync(host.environment.GFS2_SR_RUN_DIR, { recursive: true });
    expect((await host.failure('SR.ls', { sr })).params[0]).toBe('Sr_not_attached');
    expect(await host.call('SR.attach', attach)).toBe(sr);
    expect(await host.call('SR.ls', { sr })).toMatchObject([{ key }]);
  });

  it('keeps its records from other users, and secrets out of them', async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr();
    await host.call('SR.attach', {
      configuration: {
        provider: 'path',
        path: host.path,
        sr_uuid: host.uuid,
        chappassword: 'S3cretMarker1',
      },
    });
    const folder = join(host.environment.GFS2_SR_RUN_DIR, 'sr');
    const record = join(folder, `${sr}.json`);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(statSync(record).mode & 0o777).toBe(0o600);
    expect(readFileSync(record, 'utf8')).not.toContain('S3cretMarker1');
    const { uri } = await host.makeVolume();
    expect(statSync(new URL((uri[0] as string).replace('qcow2+file', 'file'))).mode & 0o777).toBe(0o600);
  });

  it('never lets a handle become a path', async () => {
    using host = new VolumeHost();
    await host.makeSr();
    const record = join(host.environment.GFS2_SR_RUN_DIR, 'sr', `${host.uuid}.json`);
    writeFileSync(join(host.folder, 'x.json'), readFileSync(record));
    for (const sr of [
      '../../x',
      `../sr/${host.uuid}`,
      `${host.uuid}/../${host.uuid}`,
      `./${host.uuid}`,
      '',
      '\0',
    ]) {
      expect((await host.failure('SR.stat', { sr })).params).toEqual(['Sr_not_attached', sr]);
    }
  });

  it('is created once: a repeat for the same SR changes nothing, another SR is refused', async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr();
    const { key } = await host.makeVolume();
    const again = { configuration: { provider: 'path', path: host.path }, name: 'other', description: '' };
    expect(await host.call('SR.create', { uuid: host.uuid, ...again })).toMatchObject({ sr_uuid: sr });
    expect(await host.call('SR.stat', { sr })).toMatchObject({ name: 'an SR' });
    for (const configuration of [again.configuration, { ...again.configuration, force: 'true' }]) {
      const refused = await host.failure('SR.create', { ...again, uuid: crypto.randomUUID(), configuration });
      expect(refused.params[0]).toBe('SRExists');
      expect(refused.params[1]).toContain(sr);
    }
    expect(await host.call('SR.ls', { sr })).toMatchObject([{ key }]);
  });

  it('is made beside other files only by force, and leaves them alone', async () => {
    using host = new VolumeHost();
    mkdirSync(join(host.path, 'images'));
    writeFileSync(join(host.path, 'images/mine.raw'), 'precious');
    writeFileSync(join(host.path, 'notes'), 'precious');
    const create = { uuid: host.uuid, name: '', description: '' };
    const plain = { provider: 'path', path: host.path };
    expect((await host.failure('SR.create', { ...create, configuration: plain })).params[0]).toBe('NotEmpty');
    expect(readdirSync(host.path).sort()).toEqual(['images', 'notes']);

    const configuration = await host.call('SR.create', {
      ...create,
      configuration: { ...plain, force: 'true' },
    });
    expect(configuration).not.toHaveProperty('force');
    const sr = await host.call('SR.attach', { configuration });
    await host.makeVolume();
    await host.call('SR.destroy', { sr });
    expect(readdirSync(host.path).sort()).toEqual(['images', 'notes']);
    expect(readdirSync(join(host.path, 'images'))).toEqual(['mine.raw']);
  });

  it('is one of two that are created at once in one directory', async () => {
    using host = new VolumeHost();
    const results = await Promise.allSettled(
      Array.from({ length: 4 }, () =>
        host.call('SR.create', {
          uuid: crypto.randomUUID(),
          configuration: { provider: 'path', path: host.path },
          name: '',
          description: '',
        }),
      ),
    );
    const made = results.filter((result) => result.status === 'fulfilled');
    expect(made).toHaveLength(1);
    for (const result of results) {
      if (result.status === 'rejected') expect(result.reason.params[0]).toMatch(/^(SRExists|NotEmpty)$/);
    }
    const [{ value: configuration }] = made as [(typeof made)[0]];
    expect(await host.call('SR.attach', { configuration })).toBe(configuration.sr_uuid);
    expect(existsSync(join(host.path, 'catalog.sqlite'))).toBe(true);
  });
});
