/** What garbage collection merges, and what it leaves alone; data is compared byte for byte. */
import { execFileSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { tryLock } from '../../src/locks/flock.ts';
import type { Volume } from '../../src/smapi/interface.ts';
import { checkConsistent } from '../support/consistency.ts';
import { fill, formatOf, read } from '../support/disk.ts';
import { imageOf, VolumeHost } from '../support/volume-host.ts';
import { allocated, collectGarbage } from './collector.ts';

const size = 8 << 20;
const seed = Number(process.env.GFS2_SR_GC_SEED ?? Math.floor(Math.random() * 2 ** 31));
console.log(`seed ${seed}`);
let state = seed;
/** A number that looks random, from 0 to less than `limit` (an LCG of Numerical Recipes). */
function below(limit: number): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 2 ** 32) * limit);
}

/** Writes, zeroes and discards parts of a disk, of any length and at any place of 512 bytes. */
function scribble(volume: Volume, times = 12): void {
  const commands = Array.from({ length: times }, () => {
    const offset = below(size / 512) * 512;
    const length = Math.min(size - offset, (1 + below(700)) * 512);
    const what = [`write -P ${1 + below(255)}`, 'write -z', 'discard'][Math.max(0, below(6) - 3)];
    return ['-c', `${what} ${offset} ${length}`];
  });
  execFileSync('qemu-io', ['-f', formatOf(volume), ...commands.flat(), '-c', 'flush', imageOf(volume)]);
}

describe.each(['raw', 'qcow2'])('on trees with a root of %s', (format) => {
  async function makeSr(): Promise<VolumeHost> {
    const host = new VolumeHost();
    await host.makeSr({ 'image-format': format });
    return host;
  }
  const stat = (host: VolumeHost, key: string): Promise<Volume> =>
    host.call('Volume.stat', { sr: host.uuid, key });

  it('merges a whole chain when its snapshots are gone, and keeps the data', async () => {
    using host = await makeSr();
    const sr = host.uuid;
    const { key } = await host.makeVolume(BigInt(size));
    const snapshots: string[] = [];
    for (let depth = 0; depth < 5; depth++) {
      scribble(await stat(host, key));
      snapshots.push((await host.call('Volume.snapshot', { sr, key })).key);
    }
    scribble(await stat(host, key));
    const before = await stat(host, key);
    const content = read(before);
    for (const snapshot of snapshots) await host.call('Volume.destroy', { sr, key: snapshot });
    expect(host.images()).toHaveLength(6);

    expect(await collectGarbage(host)).toBe(`${sr}: 5 images merged\n`);
    const after = await stat(host, key);
    expect(read(after).equals(content)).toBe(true);
    expect(host.images()).toHaveLength(1);
    checkConsistent(host);
    // Whoever has the URI of a volume that goes on as qcow2 does not notice.
    if (format === 'qcow2') expect(after.uri).toEqual(before.uri);
    scribble(after);
    expect(await collectGarbage(host)).toBe(`${sr}: 0 images merged\n`);
  });

  it('merges between images that are needed, and keeps the data of all volumes on both sides', async () => {
    using host = await makeSr();
    const sr = host.uuid;
    const { key } = await host.makeVolume(BigInt(size));
    const keys = [key];
    const passing: string[] = [];
    for (let depth = 0; depth < 4; depth++) {
      scribble(await stat(host, key));
      const snapshot = (await host.call('Volume.snapshot', { sr, key })).key;
      if (depth === 3) keys.push((await host.call('Volume.clone', { sr, key: snapshot })).key);
      (depth % 2 === 0 ? passing : keys).push(snapshot);
    }
    for (const one of keys) {
      const volume = await stat(host, one);
      if (volume.read_write) scribble(volume);
    }
    const contents = new Map<string, Buffer>();
    for (const one of keys) contents.set(one, read(await stat(host, one)));
    for (const snapshot of passing) await host.call('Volume.destroy', { sr, key: snapshot });

    expect(await collectGarbage(host)).toBe(`${sr}: 2 images merged\n`);
    for (const one of keys) {
      expect(read(await stat(host, one)).equals(contents.get(one) as Buffer), one).toBe(true);
    }
    checkConsistent(host);
    for (const one of keys) await host.call('Volume.destroy', { sr, key: one });
    expect(host.images()).toEqual([]);
  });

  it('merges a volume that grew since its snapshot', async () => {
    using host = await makeSr();
    const sr = host.uuid;
    const { key } = await host.makeVolume(BigInt(size / 2));
    fill(await stat(host, key), 1, 0, size / 2);
    const snapshot = await host.call('Volume.snapshot', { sr, key });
    await host.call('Volume.resize', { sr, key, new_size: BigInt(size) });
    fill(await stat(host, key), 2, size - 65_536, 65_536);
    const content = read(await stat(host, key));
    await host.call('Volume.destroy', { sr, key: snapshot.key });
    expect(await collectGarbage(host)).toContain('1 images merged');
    const after = await stat(host, key);
    expect(after.virtual_size).toBe(BigInt(size));
    expect(read(after).equals(content)).toBe(true);
    checkConsistent(host);
  });

  it('gives the room back that the last snapshot took', async () => {
    using host = await makeSr();
    const sr = host.uuid;
    const { key } = await host.makeVolume(BigInt(size));
    fill(await stat(host, key), 1, 0, size);
    const alone = allocated(host);
    const snapshot = await host.call('Volume.snapshot', { sr, key });
    fill(await stat(host, key), 2, 0, size);
    await host.call('Volume.destroy', { sr, key: snapshot.key });
    expect(allocated(host)).toBeGreaterThan(2 * size);
    await collectGarbage(host);
    expect(allocated(host)).toBeLessThan(alone + 65_536);
    expect((await stat(host, key)).physical_utilisation).toBe(BigInt(allocated(host)));
  });

  it.each(['leaf', 'parent'])('leaves a chain alone whose %s someone has', async (which) => {
    using host = await makeSr();
    const sr = host.uuid;
    const { key } = await host.makeVolume(BigInt(size));
    const root = imageOf(await stat(host, key));
    scribble(await stat(host, key));
    const snapshot = await host.call('Volume.snapshot', { sr, key });
    const leaf = imageOf(await stat(host, key));
    await host.call('Volume.destroy', { sr, key: snapshot.key });
    const images = host.images();
    const fd = openSync(which === 'leaf' ? leaf : root, 'r');
    try {
      expect(tryLock(fd, which === 'leaf' ? 'exclusive' : 'shared')).toBe(true);
      expect(await collectGarbage(host)).toBe(`${sr}: 0 images merged, left for later: 1 in use\n`);
      expect(host.images()).toEqual(images);
    } finally {
      closeSync(fd);
    }
    expect(await collectGarbage(host)).toContain('1 images merged');
  });
});

describe('a tree whose files are not what the catalog says', () => {
  it('is left alone, and does not keep others from being merged', async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr({ 'image-format': 'qcow2' });
    const keys: string[] = [];
    for (let count = 0; count < 2; count++) {
      const { key } = await host.makeVolume(BigInt(size));
      const snapshot = await host.call('Volume.snapshot', { sr, key });
      fill(await host.call('Volume.stat', { sr, key }), 1, 0, 4096);
      await host.call('Volume.snapshot', { sr, key });
      await host.call('Volume.destroy', { sr, key: snapshot.key });
      keys.push(key);
    }
    const [foreign = '', good = ''] = keys;
    const content = read(await host.call('Volume.stat', { sr, key: good }));
    // The snapshot of the first names a file from elsewhere.
    const chain = execFileSync('qemu-img', [
      'info',
      '--output=json',
      imageOf(await host.call('Volume.stat', { sr, key: foreign })),
    ]);
    const middle = (JSON.parse(String(chain)) as { 'full-backing-filename': string })[
      'full-backing-filename'
    ];
    execFileSync('qemu-img', ['rebase', '-u', '-f', 'qcow2', '-b', '/etc/passwd', '-F', 'raw', middle]);
    expect(await collectGarbage(host)).toBe(
      `${sr}: 1 images merged, left for later: 1 failed, see the log\n`,
    );
    expect(read(await host.call('Volume.stat', { sr, key: good })).equals(content)).toBe(true);
  });
});
