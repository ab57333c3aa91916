import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { VolumeHost } from '../support/volume-host.ts';

function mountTmpfs(host: VolumeHost, folder: string): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'none', folder]);
  host.defer(() => unmount(folder));
}

/** Puts another folder in the SR's place. */
function bind(host: VolumeHost, folder: string): void {
  execFileSync('mount', ['--bind', folder, host.path]);
  host.defer(() => unmount(host.path));
}

function unmount(folder: string): void {
  try {
    execFileSync('umount', [folder], { stdio: 'ignore' });
  } catch {
    // The test has done it.
  }
}

describe('the place of an SR', () => {
  it.each([
    ['a relative path', 'srv/sr', 'absolute'],
    ['nothing', '', 'absolute'],
    ['a path with ..', '/srv/../srv/sr', '..'],
    ['a missing directory', '/nowhere/at/all', 'does not exist'],
    ['a file', '/proc/self/status', 'is not a directory'],
    ['a path through a file', '/proc/self/status/x', 'not a directory'],
    ['a name that is too long', `/${'x'.repeat(300)}`, 'too long'],
  ])('is refused in one sentence where it is %s', async (_what, path, reason) => {
    using host = new VolumeHost();
    const { params } = await host.failure('SR.create', {
      uuid: host.uuid,
      configuration: { provider: 'path', path },
      name: '',
      description: '',
    });
    expect(params).toHaveLength(2);
    expect(params[1]).toContain(reason);
    expect(params[1]).toMatch(/^[A-Z][^\n]*\.$/);
  });

  it('is found again behind the symbolic link that led to it, wherever that leads later', async () => {
    using host = new VolumeHost();
    const link = join(host.folder, 'link');
    symlinkSync(host.path, link);
    const configuration = await host.call('SR.create', {
      uuid: host.uuid,
      configuration: { provider: 'path', path: link },
      name: '',
      description: '',
    });
    expect(configuration.path).toBe(realpathSync(host.path));
    rmSync(link);
    expect(await host.call('SR.attach', { configuration })).toBe(host.uuid);
  });

  it('is not inside another SR', async () => {
    using host = new VolumeHost();
    await host.makeSr();
    const { params } = await host.failure('SR.create', {
      uuid: crypto.randomUUID(),
      configuration: { provider: 'path', path: join(host.path, 'images') },
      name: '',
      description: '',
    });
    expect(params[1]).toContain(`lies inside the SR in ${host.path}`);
  });

  it('has a path that is not too long for its catalog', async () => {
    using host = new VolumeHost();
    const path = join(host.path, ...Array.from({ length: 3 }, () => 'd'.repeat(200)));
    mkdirSync(path, { recursive: true });
    const { params } = await host.failure('SR.create', {
      uuid: host.uuid,
      configuration: { provider: 'path', path },
      name: '',
      description: '',
    });
    expect(params[1]).toContain('choose a shorter one');
    expect(readdirSync(path)).toEqual([]);
  });

  it('must be writable', async () => {
    using host = new VolumeHost();
    mountTmpfs(host, host.path);
    execFileSync('mount', ['-o', 'remount,ro', host.path]);
    const { params } = await host.failure('SR.create', {
      uuid: host.uuid,
      configuration: { provider: 'path', path: host.path },
      name: '',
      description: '',
    });
    expect(params[1]).toContain('cannot be written');
  });

  it.skipIf(!existsSync('/dev/fuse'))('is not a network filesystem, at creation nor later', async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr();
    await host.call('SR.detach', { sr });
    const server = spawn('python3', [join(import.meta.dirname, 'fake-filesystem.py'), host.path]);
    await once(server.stdout, 'data');
    host.defer(() => unmount(host.path));
    const configuration = { provider: 'path', path: host.path };
    const failures = [
      await host.failure('SR.create', {
        uuid: crypto.randomUUID(),
        configuration,
        name: '',
        description: '',
      }),
      await host.failure('SR.attach', { configuration: { ...configuration, sr_uuid: sr } }),
    ];
    for (const { params } of failures) {
      expect(params).toEqual(['InvalidPath', expect.stringContaining('on a fuse filesystem')]);
    }
  });

  it.each([
    ['ScsiId', { iqns: 'iqn.2001-04.com.example:a' }],
    ['iqns', { ScsiId: '36001405aa' }],
    ['iqns and ScsiId', {}],
  ])('on a LUN is asked for %s where that does not say which LUN is meant', async (missing, given) => {
    using host = new VolumeHost();
    const configuration = { ips: '127.0.0.1', ...given };
    const failures = [
      await host.failure('SR.create', { uuid: host.uuid, configuration, name: '', description: '' }),
      await host.failure('SR.attach', { configuration: { ...configuration, sr_uuid: host.uuid } }),
    ];
    for (const { params } of failures) expect(params[1]).toContain(`: ${missing} must say which LUN`);
  });
});

describe('an attached SR whose directory is not what it was', () => {
  it('is Unreachable under its own name while its filesystem is not mounted, and comes back', async () => {
    using host = new VolumeHost();
    const filesystem = join(host.folder, 'filesystem');
    mkdirSync(filesystem);
    mountTmpfs(host, filesystem);
    bind(host, filesystem);
    const sr = await host.makeSr();
    const { key } = await host.makeVolume();
    execFileSync('umount', [host.path]);

    const stat = await host.call('SR.stat', { sr });
    expect(stat.health[0]).toBe('Unreachable');
    expect(stat.health[1]).toContain(host.path);
    expect(stat.name).toBe('an SR');
    expect((await host.failure('SR.ls', { sr })).params[0]).toBe('SRUnreachable');
    expect((await host.failure('SR.destroy', { sr })).params[0]).toBe('SRUnreachable');
    expect(readdirSync(host.path)).toEqual([]);

    bind(host, filesystem);
    expect(await host.call('SR.stat', { sr })).toMatchObject({ health: ['Healthy', ''] });
    expect(await host.call('SR.ls', { sr })).toMatchObject([{ key }]);
  });

  it('is Unreachable while its filesystem is read-only, where it can still be listed', async () => {
    using host = new VolumeHost();
    mountTmpfs(host, host.path);
    const sr = await host.makeSr();
    const { key } = await host.makeVolume();
    execFileSync('mount', ['-o', 'remount,ro', host.path]);
    expect((await host.call('SR.stat', { sr })).health).toEqual([
      'Unreachable',
      expect.stringContaining('make it writable'),
    ]);
    expect(await host.call('SR.ls', { sr })).toMatchObject([{ key }]);
    const { params } = await host.failure('Volume.destroy', { sr, key });
    expect(params).toEqual(['SRNotWritable', expect.stringContaining(host.path)]);
    execFileSync('mount', ['-o', 'remount,rw', host.path]);
    await host.call('Volume.destroy', { sr, key });
  });

  it('is Unreachable where another SR took its place, which nothing touches', async () => {
    using host = new VolumeHost();
    using rival = new VolumeHost();
    await rival.makeSr();
    const sr = await host.makeSr();
    bind(host, rival.path);
    const { health } = await host.call('SR.stat', { sr });
    expect(health[0]).toBe('Unreachable');
    expect(health[1]).toContain(rival.uuid);
    expect((await host.failure('SR.destroy', { sr })).params[0]).toBe('SRUnreachable');
    await host.call('SR.detach', { sr });
    expect(await rival.call('SR.stat', { sr: rival.uuid })).toMatchObject({ health: ['Healthy', ''] });
  });

  it('is refused where a catalog of a later version or a damaged one is', async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr();
    const { DatabaseSync } = await import('node:sqlite');
    const database = new DatabaseSync(join(host.path, 'catalog.sqlite'));
    database.exec('PRAGMA user_version = 7');
    database.close();
    expect((await host.failure('SR.ls', { sr })).params).toEqual([
      'CatalogTooNew',
      expect.stringContaining('format 7'),
    ]);
    expect((await host.call('SR.stat', { sr })).health[1]).toContain('update the plugin');

    writeFileSync(join(host.path, 'catalog.sqlite'), 'x'.repeat(100_000));
    expect((await host.failure('SR.ls', { sr })).params[0]).toBe('CatalogDamaged');
    expect((await host.call('SR.stat', { sr })).health[0]).toBe('Unreachable');
  });
});
