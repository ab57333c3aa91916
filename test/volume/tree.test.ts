/** Snapshots, clones and reverts. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import { posix } from '../../src/posix/index.ts';
import type { Volume } from '../../src/smapi/interface.ts';
import { checkImageFile, fill, runs } from '../support/disk.ts';
import { imageOf, VolumeHost } from '../support/volume-host.ts';

const size = 1n << 20n;
const formats = ['raw', 'qcow2'] as const;

async function stat(host: VolumeHost, key: string): Promise<Volume> {
  return await host.call('Volume.stat', { sr: host.uuid, key });
}

/** Something on this host that has an image, as a running disk has. */
async function useImage(file: string, mode: 'exclusive' | 'shared'): Promise<AsyncDisposable> {
  const child = spawn('flock', [`--${mode}`, '-n', '--no-fork', file, 'sh', '-c', 'echo; exec sleep 60']);
  await once(child.stdout, 'data');
  return {
    [Symbol.asyncDispose]: async () => {
      const ended = once(child, 'close');
      child.kill('SIGKILL');
      await ended;
    },
  };
}

describe.each(formats)('in an SR of %s images', (format) => {
  it('a snapshot keeps what the volume had, and the volume goes on', async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr({ 'image-format': format });
    const before = await host.makeVolume(size);
    const { key } = before;
    expect(imageOf(before)).toMatch(new RegExp(`\\.${format}$`));
    fill(before, 7, 0, 65_536);
    await host.call('Volume.set', { sr, key, k: 'vdi-type', v: 'system' });
    await host.call('Volume.set', { sr, key, k: 'clone-on-boot', v: 'x' });

    const snapshot = await host.call('Volume.snapshot', { sr, key });
    expect(snapshot).toMatchObject({
      name: 'a volume',
      read_write: false,
      virtual_size: size,
      uri: before.uri,
      keys: { 'vdi-type': 'system' },
    });
    expect(Object.keys(snapshot.keys)).toEqual(['vdi-type']);
    expect(snapshot.physical_utilisation).toBeGreaterThanOrEqual(65_536n);
    const after = await stat(host, key);
    expect(after).toMatchObject({ read_write: true, virtual_size: size, keys: { 'clone-on-boot': 'x' } });
    expect(imageOf(after)).toMatch(/\.qcow2$/);
    expect(runs(after)).toBe('7x65536 0x983040');

    fill(after, 8, 4096, 4096);
    expect(runs(after)).toBe('7x4096 8x4096 7x57344 0x983040');
    expect(runs(snapshot)).toBe('7x65536 0x983040');
    checkImageFile(imageOf(after));
    // What the guest wrote is all that it takes.
    expect(statSync(imageOf(after)).blocks * 512).toBeLessThan(1 << 20);
    expect(await host.call('SR.ls', { sr })).toHaveLength(2);
  });

  it('a clone and its origin know nothing of each other', async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr({ 'image-format': format });
    const origin = await host.makeVolume(size);
    fill(origin, 1, 0, 4096);
    const clone = await host.call('Volume.clone', { sr, key: origin.key });
    expect(clone).toMatchObject({ read_write: true, keys: { 'vdi-type': 'user' }, virtual_size: size });
    fill(clone, 2, 8192, 4096);
    const now = await stat(host, origin.key);
    fill(now, 3, 4096, 4096);
    expect(runs(clone)).toBe('1x4096 0x4096 2x4096 0x1036288');
    expect(runs(now)).toBe('1x4096 3x4096 0x1040384');
    await host.call('Volume.destroy', { sr, key: origin.key });
    expect(runs(clone)).toBe('1x4096 0x4096 2x4096 0x1036288');
    await host.call('Volume.destroy', { sr, key: clone.key });
    expect(host.images()).toEqual([]);
  });

  it('a revert brings back content and size, and drops what came since', async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr({ 'image-format': format });
    const volume = await host.makeVolume(size);
    const { key } = volume;
    fill(volume, 1, 0, 4096);
    const snapshot = await host.call('Volume.snapshot', { sr, key });
    fill(await stat(host, key), 2, 0, 1 << 20);
    await host.call('Volume.resize', { sr, key, new_size: 2n * size });
    expect(runs(await stat(host, key))).toBe('2x1048576 0x1048576');
    await host.call('Volume.set', { sr, key, k: 'a', v: 'b' });
    await host.call('Volume.revert', { sr, snapshot: snapshot.key, key });
    const after = await stat(host, key);
    expect(after).toMatchObject({ key, read_write: true, virtual_size: size, keys: { a: 'b' } });
    expect(runs(after)).toBe('1x4096 0x1044480');
    fill(after, 3, 0, 4096);
    expect(runs(snapshot)).toBe('1x4096 0x1044480');
    expect(host.images()).toHaveLength(2);
    const refusals = [
      await host.failure('Volume.revert', { sr, snapshot: key, key }),
      await host.failure('Volume.revert', { sr, snapshot: snapshot.key, key: snapshot.key }),
      await host.failure('Volume.resize', { sr, key: snapshot.key, new_size: 4n * size }),
    ];
    expect(refusals.map(({ params }) => params[0])).toEqual([
      'NoSnapshot',
      'ReadOnlyVolume',
      'ReadOnlyVolume',
    ]);
  });

  it('trees of any shape keep their data, and their last volume takes all images with it', async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr({ 'image-format': format });
    const root = await host.makeVolume(size);
    const expected = new Map<string, string>();
    fill(root, 1, 0, 65_536);
    const first = await host.call('Volume.snapshot', { sr, key: root.key });
    expected.set(first.key, '1x65536 0x983040');
    fill(await stat(host, root.key), 2, 0, 4096);
    const second = await host.call('Volume.snapshot', { sr, key: root.key });
    expected.set(second.key, '2x4096 1x61440 0x983040');
    const branch = await host.call('Volume.clone', { sr, key: first.key });
    fill(branch, 3, 4096, 4096);
    const third = await host.call('Volume.snapshot', { sr, key: branch.key });
    expected.set(third.key, '1x4096 3x4096 1x57344 0x983040');
    expected.set(branch.key, '1x4096 3x4096 1x57344 0x983040');
    expected.set(root.key, '2x4096 1x61440 0x983040');
    const ofSnapshot = await host.call('Volume.snapshot', { sr, key: third.key });
    expect(ofSnapshot.uri).toEqual(third.uri);
    expected.set(ofSnapshot.key, '1x4096 3x4096 1x57344 0x983040');

    for (const key of [first.key, root.key, third.key, ofSnapshot.key, branch.key, second.key]) {
      for (const volume of await host.call('SR.ls', { sr }))
        expect(runs(volume)).toBe(expected.get(volume.key));
      for (const name of host.images()) checkImageFile(join(host.path, 'images', name));
      await host.call('Volume.destroy', { sr, key });
    }
    expect(host.images()).toEqual([]);
  });

  it('no image is made for what has not changed', async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr({ 'image-format': format });
    const { key } = await host.makeVolume(size);
    await host.call('Volume.snapshot', { sr, key });
    const images = host.images();
    expect(images).toHaveLength(2);
    const again = await host.call('Volume.snapshot', { sr, key });
    expect(host.images()).toEqual(images);
    // As for a VM that boots from a clone of its disk each time.
    for (let boot = 0; boot < 3; boot++) {
      const clone = await host.call('Volume.clone', { sr, key });
      fill(clone, 1, 0, 4096);
      expect(host.images()).toHaveLength(3);
      await host.call('Volume.destroy', { sr, key: clone.key });
    }
    expect(host.images()).toEqual(images);
    fill(await stat(host, key), 5, 0, 4096);
    const changed = await host.call('Volume.snapshot', { sr, key });
    expect(host.images()).toHaveLength(3);
    expect(runs(changed)).toBe('5x4096 0x1044480');
    expect(runs(again)).toBe('0x1048576');
  });

  it('what was resized since its snapshot is one size in clones', async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr({ 'image-format': format });
    const { key } = await host.makeVolume(size);
    fill(await stat(host, key), 4, 0, 1 << 20);
    await host.call('Volume.snapshot', { sr, key });
    await host.call('Volume.resize', { sr, key, new_size: 3n * size });
    const grown = await host.call('Volume.snapshot', { sr, key });
    const clone = await host.call('Volume.clone', { sr, key });
    for (const volume of [grown, clone, await stat(host, key)]) {
      expect(volume.virtual_size).toBe(3n * size);
      expect(runs(volume)).toBe('4x1048576 0x2097152');
    }
  });

  it('a volume in use has neither snapshot, clone, revert nor resize; its snapshots can be cloned and destroyed', async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr({ 'image-format': format });
    const { key } = await host.makeVolume(size);
    const snapshot = await host.call('Volume.snapshot', { sr, key });
    const volume = await stat(host, key);
    fill(volume, 1, 0, 4096);
    {
      await using _disk = await useImage(imageOf(volume), 'exclusive');
      await using _chain = await useImage(imageOf(snapshot), 'shared');
      const before = host.images();
      const failures = [
        await host.failure('Volume.snapshot', { sr, key }),
        await host.failure('Volume.clone', { sr, key }),
        await host.failure('Volume.revert', { sr, snapshot: snapshot.key, key }),
        await host.failure('Volume.resize', { sr, key, new_size: 2n * size }),
        await host.failure('Volume.destroy', { sr, key }),
      ];
      for (const { params } of failures)
        expect(params).toEqual(['VolumeInUse', expect.stringContaining(key)]);
      expect(host.images()).toEqual(before);
      const clone = await host.call('Volume.clone', { sr, key: snapshot.key });
      await host.call('Volume.destroy', { sr, key: clone.key });
      await host.call('Volume.destroy', { sr, key: snapshot.key });
    }
    expect(runs(await stat(host, key))).toBe('1x4096 0x1044480');
    await host.call('Volume.destroy', { sr, key });
    expect(host.images()).toEqual([]);
  });
});

it('an image that someone still reads when its last volume goes, goes with them', async () => {
  using host = new VolumeHost();
  const sr = await host.makeSr();
  const { key } = await host.makeVolume(size);
  const snapshot = await host.call('Volume.snapshot', { sr, key });
  await host.call('Volume.destroy', { sr, key: snapshot.key });
  {
    await using _reader = await useImage(imageOf(snapshot), 'shared');
    await host.call('Volume.destroy', { sr, key });
    expect(await host.call('SR.ls', { sr })).toEqual([]);
    expect(host.images()).toHaveLength(1);
  }
  await host.makeVolume();
  expect(host.images()).toHaveLength(1);
});

it('a sharable volume is raw and is refused what would make it another', async () => {
  using host = new VolumeHost();
  const sr = await host.makeSr({ 'image-format': 'qcow2' });
  const volume = await host.makeVolume(266_240n, true);
  expect(volume.uri[0]).toMatch(/\.raw\?sharable=true$/);
  const { key } = volume;
  for (const call of ['Volume.snapshot', 'Volume.clone'] as const) {
    expect((await host.failure(call, { sr, key })).params[0]).toBe('SharableVolume');
  }
});

describe('sizes of qcow2 volumes', () => {
  it.each([
    [0n, 4096n],
    [1n, 512n],
    [1_000_001n, 1_000_448n],
    [16n << 40n, 16n << 40n],
  ])('of %d bytes are exact to a sector (%d)', async (asked, expected) => {
    using host = new VolumeHost();
    await host.makeSr({ 'image-format': 'qcow2' });
    const volume = await host.makeVolume(asked);
    expect(volume.virtual_size).toBe(expected);
    const info = JSON.parse(
      execFileSync('qemu-img', ['info', '-f', 'qcow2', '--output=json', imageOf(volume)], {
        encoding: 'utf8',
      }),
    ) as { 'virtual-size': number };
    expect(BigInt(info['virtual-size'])).toBe(expected);
    expect(volume.physical_utilisation).toBeLessThan(1n << 20n);
    expect(statSync(imageOf(volume)).mode & 0o777).toBe(0o600);
  });
});

describe('what a guest or a damaged disk says', () => {
  it('a qcow2 header in a raw disk stays data in all that comes of it', async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr({ 'image-format': 'raw' });
    const volume = await host.makeVolume(size);
    const secret = join(host.folder, 'secret');
    writeFileSync(secret, 'S'.repeat(1 << 20));
    const evil = join(host.folder, 'evil');
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', secret, '-F', 'raw', evil]);
    execFileSync('dd', [`if=${evil}`, `of=${imageOf(volume)}`, 'conv=notrunc', 'status=none']);
    const content = runs(volume);
    expect(content).not.toContain('83x');
    const { key } = volume;
    const snapshot = await host.call('Volume.snapshot', { sr, key });
    const clone = await host.call('Volume.clone', { sr, key });
    await host.call('Volume.resize', { sr, key, new_size: 2n * size });
    expect(runs(snapshot)).toBe(content);
    expect(runs(clone)).toBe(content);
    const bytes = `${runs(await stat(host, key))}`;
    expect(bytes).not.toContain('83x');
  });

  it.each([
    ['the absolute path of another file', (secret: string) => ['-b', secret, '-F', 'raw']],
    ['a path out of the folder', () => ['-b', '../../secret', '-F', 'raw']],
    ['a protocol of QEMU', () => ['-b', 'json:{"driver":"null-co"}', '-F', 'raw']],
    ['its own parent by an absolute path', undefined],
    ['no parent', () => []],
  ])('a parent that is %s is refused before it is opened', async (_what, backing) => {
    using host = new VolumeHost();
    const sr = await host.makeSr();
    const { key } = await host.makeVolume(size);
    const snapshot = await host.call('Volume.snapshot', { sr, key });
    const leaf = imageOf(await stat(host, key));
    const secret = join(host.folder, 'secret');
    writeFileSync(secret, 'S'.repeat(1 << 20));
    const parent = imageOf(snapshot);
    if (backing === undefined) {
      execFileSync('qemu-img', ['rebase', '-u', '-f', 'qcow2', '-b', parent, '-F', 'raw', leaf]);
    } else {
      execFileSync('qemu-img', ['create', '-q', '-u', '-f', 'qcow2', ...backing(secret), leaf, String(size)]);
    }
    const { params } = await host.failure('Volume.resize', { sr, key, new_size: 2n * size });
    expect(params).toEqual(['ImageDamaged', expect.stringContaining(leaf)]);
  });

  it('a ring of images is refused in words', async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr({ 'image-format': 'qcow2' });
    const { key } = await host.makeVolume(size);
    await host.call('Volume.snapshot', { sr, key });
    const [first = '', second = ''] = readdirSync(join(host.path, 'images')).map((name) => name.slice(0, 36));
    const database = new DatabaseSync(join(host.path, 'catalog.sqlite'));
    database.prepare('UPDATE images SET parent = ? WHERE uuid = ?').run(first, second);
    database.prepare('UPDATE images SET parent = ? WHERE uuid = ?').run(second, first);
    database.close();
    const { params } = await host.failure('Volume.resize', { sr, key, new_size: 2n * size });
    expect(params[0]).toBe('CatalogDamaged');
  });

  it('an image that is gone is named', async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr();
    const { key } = await host.makeVolume(size);
    const snapshot = await host.call('Volume.snapshot', { sr, key });
    execFileSync('rm', [imageOf(snapshot)]);
    const failures = [
      await host.failure('Volume.clone', { sr, key: snapshot.key }),
      await host.failure('Volume.resize', { sr, key, new_size: 2n * size }),
    ];
    for (const { params } of failures) {
      expect(params).toEqual(['ImageMissing', expect.stringContaining(imageOf(snapshot))]);
    }
    expect(host.images()).toHaveLength(1);
  });
});

it('an image-format that does not exist is refused by SR.create', async () => {
  using host = new VolumeHost();
  const { params } = await host.failure('SR.create', {
    uuid: host.uuid,
    configuration: { provider: 'path', path: host.path, 'image-format': 'vmdk' },
    name: '',
    description: '',
  });
  expect(params).toEqual(['InvalidConfiguration', expect.stringContaining('raw or qcow2')]);
});

it('names the other host that has a volume', async () => {
  using host = new VolumeHost();
  const sr = await host.makeSr();
  const volume = await host.makeVolume(size);
  const { key } = volume;
  const uuid = '6f0c2d5e-6a5c-4d39-93b9-0d3f3a0f5e11';
  await using _disk = await useImage(imageOf(volume), 'exclusive');
  const fd = openSync(imageOf(volume), 'r+');
  posix().setXattr(fd, 'user.gfs2-sr.host', uuid);
  closeSync(fd);
  // In another pid namespace /proc/locks does not show the holder: as on another host.
  const { params } = await host.failure('Volume.snapshot', { sr, key }, [
    'unshare',
    '--pid',
    '--fork',
    '--mount-proc',
  ]);
  expect(params).toEqual(['Activated_on_another_host', uuid]);
});
