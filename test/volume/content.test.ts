/** Volume.compare, Volume.similar_content and Volume.copy. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Volume } from '../../src/smapi/interface.ts';
import { checkConsistent } from '../support/consistency.ts';
import { checkImageFile, fill, read, runs } from '../support/disk.ts';
import { imageOf, VolumeHost } from '../support/volume-host.ts';

const size = 1n << 20n;
const formats = ['raw', 'qcow2'] as const;

describe.each(formats)('in an SR of %s images', (format) => {
  it('compare lists all that differs, and little more', async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr({ 'image-format': format });
    const stat = (key: string): Promise<Volume> => host.call('Volume.stat', { sr, key });
    const { key } = await host.makeVolume(size);
    fill(await stat(key), 1, 0, 131_072);
    const first = await host.call('Volume.snapshot', { sr, key });
    fill(await stat(key), 2, 65_536 * 4, 4096);
    const second = await host.call('Volume.snapshot', { sr, key });
    const clone = await host.call('Volume.clone', { sr, key: first.key });
    fill(clone, 3, 65_536 * 9 + 8192, 65_536);
    fill(await stat(key), 4, 65_536 * 15, 65_536);

    const compare = async (a: string, b: string): Promise<unknown> =>
      await host.call('Volume.compare', { sr, key: a, key2: b });
    const blocksize = 65_536n;
    const answer = (...ranges: (readonly [bigint, bigint])[]): unknown => ({
      blocksize: Number(blocksize),
      ranges,
    });
    expect(await compare(second.key, first.key)).toEqual(answer([4n, 1n]));
    expect(await compare(first.key, second.key)).toEqual(answer([4n, 1n]));
    expect(await compare(key, first.key)).toEqual(answer([4n, 1n], [15n, 1n]));
    expect(await compare(clone.key, key)).toEqual(answer([4n, 1n], [9n, 2n], [15n, 1n]));
    expect(await compare(key, key)).toEqual(answer());
    expect(await compare(first.key, 'no such volume')).toEqual(answer([0n, 2n]));
    const { key: stranger } = await host.makeVolume(size);
    expect(await compare(second.key, stranger)).toEqual(answer([0n, 2n], [4n, 1n]));
  });

  it('what a volume got by growing is compared up to its end', async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr({ 'image-format': format });
    const { key } = await host.makeVolume(size);
    const small = await host.call('Volume.snapshot', { sr, key });
    await host.call('Volume.resize', { sr, key, new_size: 2n * size });
    fill(await host.call('Volume.stat', { sr, key }), 1, (2 << 20) - 4096, 4096);
    expect((await host.call('Volume.compare', { sr, key, key2: small.key })).ranges).toEqual([[31n, 1n]]);
    expect((await host.call('Volume.compare', { sr, key: small.key, key2: key })).ranges).toEqual([]);
  });

  it('similar volumes come in the order of their distance', async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr({ 'image-format': format });
    const { key } = await host.makeVolume(size);
    await host.makeVolume(size);
    const first = await host.call('Volume.snapshot', { sr, key });
    fill(await host.call('Volume.stat', { sr, key }), 1, 0, 4096);
    const second = await host.call('Volume.snapshot', { sr, key });
    const clone = await host.call('Volume.clone', { sr, key: first.key });
    const similar = await host.call('Volume.similar_content', { sr, key });
    expect(similar.slice(0, 2)).toEqual([second.key, first.key]);
    expect(similar.slice(2)).toEqual([clone.key]);
    expect(await host.call('Volume.similar_content', { sr, key: clone.key })).toEqual([
      first.key,
      second.key,
      key,
    ]);
  });

  it('a copy has the content, and nothing to do with what it was copied from', async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr({ 'image-format': format });
    const { key } = await host.makeVolume(64n << 20n);
    await host.call('Volume.set', { sr, key, k: 'vdi-type', v: 'system' });
    fill(await host.call('Volume.stat', { sr, key }), 1, 65_536, 4096);
    const snapshot = await host.call('Volume.snapshot', { sr, key });
    fill(await host.call('Volume.stat', { sr, key }), 2, 1 << 20, 4096);
    const expected = read(await host.call('Volume.stat', { sr, key }));
    const copy = await host.call('Volume.copy', { sr, key, dest_sr: sr });
    expect(copy).toMatchObject({ read_write: true, keys: { 'vdi-type': 'system' }, name: 'a volume' });
    expect(imageOf(copy)).toMatch(new RegExp(`\\.${format}$`));
    await host.call('Volume.destroy', { sr, key });
    await host.call('Volume.destroy', { sr, key: snapshot.key });
    expect(host.images()).toHaveLength(1);
    expect(read(copy).equals(expected)).toBe(true);
    // Thin, as it was.
    expect(statSync(imageOf(copy)).blocks * 512).toBeLessThan(2 << 20);
    checkConsistent(host);
  });

  it('a copy goes to another SR, into an image of its format', async () => {
    using host = new VolumeHost();
    using other = new VolumeHost();
    const sr = await host.makeSr({ 'image-format': format });
    const configuration = await host.call('SR.create', {
      uuid: other.uuid,
      configuration: {
        provider: 'path',
        path: other.path,
        'image-format': format === 'raw' ? 'qcow2' : 'raw',
      },
      name: '',
      description: '',
    });
    const target = await host.call('SR.attach', { configuration });
    const volume = await host.makeVolume(1_000_000n);
    fill(volume, 7, 4096, 8192);
    const copy = await host.call('Volume.copy', { sr, key: volume.key, dest_sr: target });
    expect(copy.virtual_size).toBeGreaterThanOrEqual(volume.virtual_size);
    expect(imageOf(copy)).toMatch(format === 'raw' ? /\.qcow2$/ : /\.raw$/);
    expect(read(copy).subarray(0, Number(volume.virtual_size)).equals(read(volume))).toBe(true);
    expect(await host.call('SR.ls', { sr: target })).toEqual([copy]);
    expect((await host.failure('Volume.copy', { sr, key: volume.key, dest_sr: 'x' })).params[0]).toBe(
      'Sr_not_attached',
    );
  });

  it('a volume that may be written is neither copied nor compared; a snapshot in use is', async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr({ 'image-format': format });
    const { key } = await host.makeVolume(size);
    const snapshot = await host.call('Volume.snapshot', { sr, key });
    const locks = [
      [imageOf(await host.call('Volume.stat', { sr, key })), '--exclusive'],
      [imageOf(snapshot), '--shared'],
    ] as const;
    const holders = locks.map(([file, mode]) =>
      spawn('flock', [mode, '-n', '--no-fork', file, 'sh', '-c', 'echo; exec sleep 60']),
    );
    try {
      await Promise.all(holders.map(({ stdout }) => once(stdout, 'data')));
      const failures = [
        await host.failure('Volume.copy', { sr, key, dest_sr: sr }),
        await host.failure('Volume.compare', { sr, key, key2: snapshot.key }),
      ];
      for (const { params } of failures) expect(params[0]).toBe('VolumeInUse');
      const copy = await host.call('Volume.copy', { sr, key: snapshot.key, dest_sr: sr });
      expect(runs(copy)).toBe('0x1048576');
    } finally {
      await Promise.all(
        holders.map(async (holder) => {
          const ended = once(holder, 'close');
          holder.kill('SIGKILL');
          await ended;
        }),
      );
    }
  });
});

it('while a volume is copied, its SR works, and the copied volume can be neither written nor destroyed', async () => {
  using host = new VolumeHost();
  const sr = await host.makeSr({ 'image-format': 'qcow2' });
  const volume = await host.makeVolume(size);
  const { key } = volume;
  fill(volume, 5, 0, 65_536);
  const tools = join(host.folder, 'bin');
  const begun = join(host.folder, 'begun');
  const go = join(host.folder, 'go');
  execFileSync('mkdir', [tools]);
  writeFileSync(
    join(tools, 'qemu-img'),
    `#!/bin/sh\nif [ "$1" = convert ]; then touch ${begun}; while [ ! -e ${go} ]; do sleep 0.05; done; fi\nexec /usr/bin/qemu-img "$@"\n`,
    { mode: 0o755 },
  );
  const child = host.start('Volume.copy', { sr, key, dest_sr: sr }, { PATH: `${tools}:${process.env.PATH}` });
  const ended = once(child, 'close');
  while (statSync(begun, { throwIfNoEntry: false }) === undefined) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  expect(await host.call('SR.ls', { sr })).toHaveLength(1);
  const { key: further } = await host.makeVolume(size);
  expect(host.images()).toHaveLength(3);
  expect((await host.failure('Volume.destroy', { sr, key })).params[0]).toBe('VolumeInUse');
  expect((await host.failure('SR.destroy', { sr })).params).toEqual([
    'VolumeInUse',
    expect.stringMatching(key),
  ]);
  writeFileSync(go, '');
  await ended;
  const copied = (await host.call('SR.ls', { sr })).filter((found) => ![key, further].includes(found.key));
  expect(copied.map(runs)).toEqual(['5x65536 0x983040']);
  checkConsistent(host);
  await host.call('Volume.destroy', { sr, key });
});

it('a copy for which there is no room says so, and leaves nothing', async () => {
  using host = new VolumeHost();
  const sr = await host.makeSr({ 'image-format': 'qcow2' });
  const volume = await host.makeVolume(32n << 20n);
  fill(volume, 5, 0, 32 << 20);
  using small = new VolumeHost();
  const image = join(small.folder, 'ext4');
  writeFileSync(image, '');
  truncateSync(image, 16 << 20);
  execFileSync('mkfs.ext4', ['-q', '-m', '0', image]);
  execFileSync('mount', ['-o', 'loop', image, small.path]);
  small.defer(() => execFileSync('umount', [small.path]));
  await small.makeSr({ 'image-format': 'qcow2' });
  await host.call('SR.attach', {
    configuration: { provider: 'path', path: small.path, sr_uuid: small.uuid },
  });
  const { code } = await host.failure('Volume.copy', { sr, key: volume.key, dest_sr: small.uuid });
  expect(code).toBe('SR_BACKEND_FAILURE_44');
  expect(small.images()).toEqual([]);
  checkConsistent(small);
  checkImageFile(imageOf(volume));
});
