/** Volumes in vhd, by the real vhd-util; their data goes through the real tapdisk. */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { CallName, Volume } from '../../src/smapi/interface.ts';
import { collectGarbage } from '../gc/collector.ts';
import { checkConsistent } from '../support/consistency.ts';
import { fill, runs } from '../support/disk.ts';
import { hasBlktap, needsBlktap } from '../support/vhd.ts';
import { imageOf, VolumeHost } from '../support/volume-host.ts';

const block = 2n << 20n;
const size = 2n * block;

async function stat(host: VolumeHost, key: string): Promise<Volume> {
  return await host.call('Volume.stat', { sr: host.uuid, key });
}

async function makeVhdSr(host: VolumeHost): Promise<string> {
  return await host.makeSr({ 'image-format': 'vhd' });
}

describe.skipIf(hasBlktap)('without vhd-util', () => {
  it('an SR of vhd images is refused with what to install', async () => {
    using host = new VolumeHost();
    mkdirSync(host.path, { recursive: true });
    const { params } = await host.failure('SR.create', {
      uuid: host.uuid,
      configuration: { provider: 'path', path: host.path, 'image-format': 'vhd' },
      name: '',
      description: '',
    });
    expect(params).toEqual([
      'ToolMissing',
      expect.stringMatching(/vhd-util is not installed.*install blktap/),
    ]);
  });
});

describe.skipIf(!hasBlktap)(`in an SR of vhd images${needsBlktap}`, () => {
  it('sizes are rounded up to blocks of 2 MiB, and end at 2040 GiB', async () => {
    using host = new VolumeHost();
    const sr = await makeVhdSr(host);
    const sizes = [0n, 1n, block, block + 1n, 2040n << 30n];
    const made = [];
    for (const asked of sizes) made.push((await host.makeVolume(asked)).virtual_size);
    expect(made).toEqual([block, block, block, 2n * block, 2040n << 30n]);
    const request = { sr, name: '', description: '', size: (2040n << 30n) + 1n, sharable: false };
    expect((await host.failure('Volume.create', request)).params).toEqual([
      'InvalidSize',
      expect.stringContaining('(2040 GiB) can be made in vhd'),
    ]);
    // Tables of all five, and no data.
    expect((await host.call('SR.ls', { sr })).every((each) => each.physical_utilisation < 8n << 20n)).toBe(
      true,
    );
    checkConsistent(host);
  });

  it('snapshot, clone, revert and destroy keep everyone their data', async () => {
    using host = new VolumeHost();
    const sr = await makeVhdSr(host);
    const before = await host.makeVolume(size);
    const { key } = before;
    expect(before.uri[0]).toMatch(/^vhd\+file:.*\.vhd$/);
    fill(before, 7, 0, 65_536);
    const snapshot = await host.call('Volume.snapshot', { sr, key });
    const after = await stat(host, key);
    expect(imageOf(snapshot)).toBe(imageOf(before));
    expect(imageOf(after)).toMatch(/\.vhd$/);
    expect(statSync(imageOf(snapshot)).mode & 0o777).toBe(0o400);
    fill(after, 8, 4096, 4096);
    const clone = await host.call('Volume.clone', { sr, key: snapshot.key });
    fill(clone, 9, 1 << 21, 512);
    expect([runs(await stat(host, key)), runs(snapshot), runs(clone)]).toEqual([
      '7x4096 8x4096 7x57344 0x4128768',
      '7x65536 0x4128768',
      '7x65536 0x2031616 9x512 0x2096640',
    ]);
    // What has not changed since its snapshot needs no image of its own for another.
    const second = await host.call('Volume.snapshot', { sr, key: clone.key });
    const third = await host.call('Volume.snapshot', { sr, key: clone.key });
    expect(third.uri).toEqual(second.uri);
    checkConsistent(host);
    await host.call('Volume.revert', { sr, snapshot: snapshot.key, key });
    expect(runs(await stat(host, key))).toBe('7x65536 0x4128768');
    checkConsistent(host);
    for (const each of [third.key, key, snapshot.key, second.key, clone.key]) {
      await host.call('Volume.destroy', { sr, key: each });
      checkConsistent(host);
    }
    expect(host.images()).toEqual([]);
  });

  it('a grown volume keeps its data and goes on behind it, also on a smaller snapshot', async () => {
    using host = new VolumeHost();
    const sr = await makeVhdSr(host);
    const volume = await host.makeVolume(size);
    const { key } = volume;
    fill(volume, 1, Number(size) - 512, 512);
    await host.call('Volume.snapshot', { sr, key });
    await host.call('Volume.resize', { sr, key, new_size: size + 1n });
    const grown = await stat(host, key);
    expect(grown.virtual_size).toBe(size + block);
    expect(runs(grown)).toBe('0x4193792 1x512 0x2097152');
    fill(grown, 2, Number(size), 512);
    expect(runs(grown)).toBe('0x4193792 1x512 2x512 0x2096640');
    checkConsistent(host);
    expect((await host.failure('Volume.resize', { sr, key, new_size: size })).params[0]).toBe('InvalidSize');
  });

  it('changed blocks are those of its images, never one less', async () => {
    using host = new VolumeHost();
    const sr = await makeVhdSr(host);
    const volume = await host.makeVolume(size);
    const { key } = volume;
    await host.call('Volume.enable_cbt', { sr, key });
    fill(volume, 1, 0, 512);
    const first = await host.call('Volume.snapshot', { sr, key });
    fill(await stat(host, key), 2, Number(block), 512);
    const second = await host.call('Volume.snapshot', { sr, key });
    const request = { sr, key: first.key, key2: second.key, offset: 0n, length: -1 };
    const { bitmap } = await host.call('Volume.list_changed_blocks', request);
    expect([...Buffer.from(bitmap, 'base64')]).toEqual([0, 0, 0, 0, 255, 255, 255, 255]);
    await host.call('Volume.data_destroy', { sr, key: first.key });
    expect(await host.call('Volume.list_changed_blocks', request)).toMatchObject({ bitmap });
    const { ranges, blocksize } = await host.call('Volume.compare', { sr, key: second.key, key2: key });
    expect([ranges, blocksize]).toEqual([[], 65_536]);
  });

  it('copies are refused where QEMU would have to read or write vhd', async () => {
    using host = new VolumeHost();
    using other = new VolumeHost();
    const sr = await makeVhdSr(host);
    const volume = await host.makeVolume(size);
    await other.makeSr({ 'image-format': 'qcow2' });
    // Both SRs on one host.
    const there = await host.call('SR.attach', {
      configuration: { provider: 'path', path: other.path, sr_uuid: other.uuid },
    });
    const qcow2 = await host.call('Volume.create', {
      sr: there,
      name: '',
      description: '',
      size,
      sharable: false,
    });
    for (const request of [
      { sr, key: volume.key, dest_sr: there },
      { sr: there, key: qcow2.key, dest_sr: sr },
    ]) {
      expect((await host.failure('Volume.copy', request)).params).toEqual([
        'CannotCopy',
        expect.stringContaining('copy its disk (xe vdi-copy)'),
      ]);
    }
    checkConsistent(host);
    checkConsistent(other);
    expect([host.images(), other.images()].map(({ length }) => length)).toEqual([1, 1]);
  });

  it('garbage collection merges what no volume has any more, also into a smaller parent', async () => {
    using host = new VolumeHost();
    const sr = await makeVhdSr(host);
    const volume = await host.makeVolume(size);
    const { key } = volume;
    fill(volume, 1, 0, 65_536);
    const snapshot = await host.call('Volume.snapshot', { sr, key });
    await host.call('Volume.resize', { sr, key, new_size: size + block });
    fill(await stat(host, key), 2, 4096, 4096);
    fill(await stat(host, key), 3, Number(size), 512);
    const clone = await host.call('Volume.clone', { sr, key });
    fill(clone, 4, 0, 512);
    await host.call('Volume.destroy', { sr, key: snapshot.key });
    expect(await collectGarbage(host)).toContain('1 images merged');
    const expected = '1x4096 2x4096 1x57344 0x4128768 3x512 0x2096640';
    expect(runs(await stat(host, key))).toBe(expected);
    expect(runs(await stat(host, clone.key))).toBe(expected.replace('1x4096', '4x512 1x3584'));
    expect(host.images()).toHaveLength(3);
    checkConsistent(host);
    await host.call('Volume.destroy', { sr, key: clone.key });
    await collectGarbage(host);
    expect(runs(await stat(host, key))).toBe(expected);
    expect(host.images()).toHaveLength(1);
    checkConsistent(host);
  });

  it('nothing that a header or a guest says leads to another file', async () => {
    using host = new VolumeHost();
    const sr = await makeVhdSr(host);
    const volume = await host.makeVolume(size);
    const { key } = volume;
    fill(volume, 1, 0, 512);
    await host.call('Volume.snapshot', { sr, key });
    fill(await stat(host, key), 2, 0, 512);
    const leaf = imageOf(await stat(host, key));
    // Another parent, as by someone's vhd-util.
    const stranger = join(host.folder, 'stranger.vhd');
    execFileSync('vhd-util', ['create', '-n', stranger, '-s', '4']);
    const elsewhere = join(host.folder, 'elsewhere.vhd');
    execFileSync('cp', [leaf, elsewhere]);
    execFileSync('vhd-util', ['modify', '-n', leaf, '-p', stranger]);
    expect((await host.failure('Volume.clone', { sr, key })).params).toEqual([
      'ImageDamaged',
      expect.stringContaining('names the parent'),
    ]);
    // The footer of another image at the end, where tapdisk dies between a guest's block and its own footer.
    execFileSync('cp', [elsewhere, leaf]);
    const foreign = readFileSync(stranger).subarray(-512);
    const fd = openSync(leaf, 'r+');
    writeSync(fd, foreign, 0, 512, statSync(leaf).size - 512);
    closeSync(fd);
    expect((await host.failure('Volume.clone', { sr, key })).params).toEqual([
      'ImageDamaged',
      expect.stringContaining('footer of another VHD'),
    ]);
  });
});

describe.skipIf(!hasBlktap)(`killed between any two steps, in vhd${needsBlktap}`, () => {
  const steps: Readonly<Record<string, readonly string[]>> = {
    'Volume.create': ['create.intent', 'create.made', 'create.rows'],
    'Volume.snapshot': ['snapshot.intent', 'snapshot.made', 'snapshot.frozen', 'snapshot.rows'],
    'Volume.clone': ['clone.intent', 'clone.made', 'clone.made-2', 'clone.frozen', 'clone.rows'],
    'Volume.revert': ['revert.intent', 'revert.made', 'revert.rows', 'revert.removed'],
    'Volume.destroy': ['destroy.rows'],
    'Volume.resize': ['resize.intent', 'resize.grown'],
  };
  const cases = Object.entries(steps).flatMap(([call, faults]) => faults.map((fault) => ({ call, fault })));

  it.each(cases)('$call at $fault is done or undone', { timeout: 60_000 }, async ({ call, fault }) => {
    using host = new VolumeHost();
    const sr = await makeVhdSr(host);
    const { key } = await host.makeVolume(size);
    fill(await stat(host, key), 1, 0, 65_536);
    const { key: snapshot } = await host.call('Volume.snapshot', { sr, key });
    fill(await stat(host, key), 2, 0, 4096);
    const parameters = {
      sr,
      key,
      snapshot,
      new_size: size + block,
      size,
      sharable: false,
      name: '',
      description: '',
    };
    await host.die(fault, call as CallName, parameters as never);
    const volumes = await host.call('SR.ls', { sr });
    const content = volumes.map((each) => `${each.virtual_size} ${runs(each)}`).sort();
    const mine = `${size} 1x65536 0x4128768`;
    const changed = `${size} 2x4096 1x61440 0x4128768`;
    const done: Readonly<Record<string, readonly string[]>> = {
      'Volume.create': [mine, changed, `${size} 0x4194304`],
      'Volume.snapshot': [mine, changed, changed],
      'Volume.clone': [mine, changed, changed],
      'Volume.revert': [mine, mine],
      'Volume.destroy': [mine],
      'Volume.resize': [mine, `${size + block} 2x4096 1x61440 0x6225920`],
    };
    const undone = [mine, changed].sort();
    expect([undone, [...(done[call] ?? [])].sort()]).toContainEqual(content);
    // Another call, which settles what is left.
    await host.makeVolume(size);
    checkConsistent(host);
  });

  it('a growing that died between its two footers is completed', async () => {
    using host = new VolumeHost();
    const sr = await makeVhdSr(host);
    const { key } = await host.makeVolume(size);
    fill(await stat(host, key), 1, 0, 512);
    const file = imageOf(await stat(host, key));
    const first = readFileSync(file).subarray(0, 512);
    await host.die('resize.grown', 'Volume.resize', { sr, key, new_size: size + block });
    const fd = openSync(file, 'r+');
    writeSync(fd, first, 0, 512, 0);
    closeSync(fd);
    expect((await stat(host, key)).virtual_size).toBe(size + block);
    const content = readFileSync(file);
    expect(content.subarray(0, 512)).toEqual(content.subarray(-512));
    checkConsistent(host);
  });
});
