import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, renameSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { imageOf, VolumeHost } from '../support/volume-host.ts';

const tib = 1n << 40n;

/** Another process that holds a lock on a file, as a running disk does; it is ended by killing it. */
async function holdLock(file: string, mode: 'exclusive' | 'shared'): Promise<ChildProcess> {
  const child = spawn('flock', [
    `--${mode}`,
    '--nonblock',
    '--no-fork',
    file,
    'sh',
    '-c',
    'echo; exec sleep 60',
  ]);
  await once(child.stdout, 'data');
  return child;
}

describe('a volume', () => {
  const host = new VolumeHost();
  const sr = host.uuid;
  beforeAll(() => host.makeSr({ 'image-format': 'raw' }));
  afterAll(() => host[Symbol.dispose]());

  it.each([
    [0n, 4096n],
    [1n, 4096n],
    [4096n, 4096n],
    [4097n, 8192n],
    [266_240n, 266_240n],
    [3_988_783_104n, 3_988_783_104n],
    [15n * tib, 15n * tib],
  ])('of %d bytes gets %d', async (size, expected) => {
    const volume = await host.makeVolume(size);
    expect(volume.virtual_size).toBe(expected);
    const { size: bytes, blocks } = statSync(imageOf(volume), { bigint: true });
    expect(bytes).toBe(expected);
    expect(blocks).toBe(0n);
  });

  it.each([[-1n], [-(2n ** 63n)], [16n * tib + 1n], [2n ** 63n - 1n]])(
    'cannot have %d bytes',
    async (size) => {
      const before = host.images();
      const { params } = await host.failure('Volume.create', {
        sr,
        name: '',
        description: '',
        size,
        sharable: false,
      });
      expect(params).toEqual(['InvalidSize', expect.stringContaining(String(size))]);
      expect(host.images()).toEqual(before);
    },
  );

  it('is described alike by create, stat and ls, with an URI that stays', async () => {
    const created = await host.call('Volume.create', {
      sr,
      name: '../../etc/passwd',
      description: 'ü\n"\\☃',
      size: 12_288n,
      sharable: true,
    });
    expect(created).toMatchObject({
      name: '../../etc/passwd',
      description: 'ü\n"\\☃',
      read_write: true,
      sharable: true,
      keys: {},
    });
    expect(created.uri).toHaveLength(1);
    expect(created.uri[0]).toMatch(/^raw\+file:\/\/\/.*\/sr\/images\/[0-9a-f-]{36}\.raw\?sharable=true$/);
    expect(await host.call('Volume.stat', { sr, key: created.key })).toEqual(created);
    expect(await host.call('SR.ls', { sr })).toContainEqual(created);
  });

  it('keeps any key and value', async () => {
    const { key } = await host.makeVolume();
    const keys: Record<string, string> = JSON.parse(
      '{"vdi-type":"user","":"empty","__proto__":"p","a/../b":"","tags\\n\\"":"☃","constructor":"c"}',
    );
    for (const [k, v] of Object.entries(keys)) await host.call('Volume.set', { sr, key, k, v });
    await host.call('Volume.set', { sr, key, k: 'vdi-type', v: 'system' });
    const expected = { ...keys, 'vdi-type': 'system' };
    expect(Object.entries((await host.call('Volume.stat', { sr, key })).keys).sort()).toEqual(
      Object.entries(expected).sort(),
    );
    await host.call('Volume.unset', { sr, key, k: '__proto__' });
    await host.call('Volume.unset', { sr, key, k: 'never set' });
    expect(Object.keys((await host.call('Volume.stat', { sr, key })).keys)).toHaveLength(5);
  });

  it('is renamed and described anew', async () => {
    const { key } = await host.makeVolume();
    await host.call('Volume.set_name', { sr, key, new_name: '' });
    await host.call('Volume.set_description', { sr, key, new_description: 'x'.repeat(60_000) });
    expect(await host.call('Volume.stat', { sr, key })).toMatchObject({
      name: '',
      description: 'x'.repeat(60_000),
    });
  });

  it('refuses texts that would not come back as they were', async () => {
    const { key } = await host.makeVolume();
    const failures = [
      await host.failure('Volume.set_name', { sr, key, new_name: 'a\0b' }),
      await host.failure('Volume.set', { sr, key, k: '\ud800', v: '' }),
      await host.failure('Volume.set', { sr, key, k: 'x'.repeat(5000), v: '' }),
      await host.failure('Volume.set_description', { sr, key, new_description: 'x'.repeat(70_000) }),
    ];
    for (const { params } of failures) expect(params[0]).toBe('InvalidText');
    expect(await host.call('Volume.stat', { sr, key })).toMatchObject({ name: 'a volume', keys: {} });
  });

  it('grows and keeps its data, and never shrinks', async () => {
    const volume = await host.makeVolume(4096n);
    const { key } = volume;
    writeFileSync(imageOf(volume), 'x'.repeat(4096));
    await host.call('Volume.resize', { sr, key, new_size: 1n << 30n });
    await host.call('Volume.resize', { sr, key, new_size: 1n << 30n });
    const { params } = await host.failure('Volume.resize', { sr, key, new_size: 4096n });
    expect(params[1]).toContain('volumes only grow');
    const grown = await host.call('Volume.stat', { sr, key });
    expect(grown.virtual_size).toBe(1n << 30n);
    expect(grown.uri).toEqual(volume.uri);
    expect(grown.physical_utilisation).toBe(4096n);
    expect(statSync(imageOf(volume)).size).toBe(1 << 30);
  });

  it('takes as much room as was written, also in the next listing', async () => {
    const volume = await host.makeVolume(1n << 20n);
    writeFileSync(imageOf(volume), new Uint8Array(256 * 1024).fill(1));
    truncateSync(imageOf(volume), 1 << 20);
    expect((await host.call('Volume.stat', { sr, key: volume.key })).physical_utilisation).toBe(262_144n);
    const listed = (await host.call('SR.ls', { sr })).find(({ key }) => key === volume.key);
    expect(listed?.physical_utilisation).toBe(262_144n);
  });

  it('can be destroyed twice; every other call then says that there is none', async () => {
    const volume = await host.makeVolume();
    const { key } = volume;
    await host.call('Volume.destroy', { sr, key });
    await host.call('Volume.destroy', { sr, key });
    await host.call('Volume.destroy', { sr, key: '../images' });
    expect(existsSync(imageOf(volume))).toBe(false);
    const failures = await Promise.all([
      host.failure('Volume.stat', { sr, key }),
      host.failure('Volume.set', { sr, key, k: 'a', v: 'b' }),
      host.failure('Volume.unset', { sr, key, k: 'a' }),
      host.failure('Volume.set_name', { sr, key, new_name: '' }),
      host.failure('Volume.set_description', { sr, key, new_description: '' }),
      host.failure('Volume.resize', { sr, key, new_size: 1n << 30n }),
    ]);
    for (const { params } of failures) expect(params).toEqual(['Volume_does_not_exist', key]);
  });

  it('is listed without a look at its image', async () => {
    const before = await host.call('SR.ls', { sr });
    renameSync(join(host.path, 'images'), join(host.path, 'gone'));
    try {
      expect(await host.call('SR.ls', { sr })).toEqual(before);
    } finally {
      renameSync(join(host.path, 'gone'), join(host.path, 'images'));
    }
  });
});

describe('a volume whose disk runs', () => {
  it.each(['exclusive', 'shared'] as const)(
    '(%s) is neither destroyed nor resized, nor is its SR let go',
    async (mode) => {
      using host = new VolumeHost();
      const sr = await host.makeSr();
      const { key } = await host.makeVolume();
      const volume = await host.makeVolume();
      const disk = await holdLock(imageOf(volume), mode);
      try {
        const failures = [
          await host.failure('Volume.destroy', { sr, key: volume.key }),
          await host.failure('Volume.resize', { sr, key: volume.key, new_size: 1n << 30n }),
          await host.failure('SR.detach', { sr }),
          await host.failure('SR.destroy', { sr }),
        ];
        for (const { params } of failures) {
          expect(params[0]).toBe('VolumeInUse');
          expect(params[1]).toContain(volume.key);
          expect(params[1]).not.toContain(key);
        }
        expect(await host.call('Volume.stat', { sr, key: volume.key })).toEqual(volume);
        await host.call('Volume.set', { sr, key: volume.key, k: 'a', v: 'b' });
      } finally {
        const ended = once(disk, 'close');
        disk.kill('SIGKILL');
        await ended;
      }
      await host.call('Volume.resize', { sr, key: volume.key, new_size: 1n << 30n });
      await host.call('Volume.destroy', { sr, key: volume.key });
      await host.call('SR.detach', { sr });
    },
  );
});
