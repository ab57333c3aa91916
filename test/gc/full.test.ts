/** Garbage collection of an SR whose filesystem has no room left. */
import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, ftruncateSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkConsistent } from '../support/consistency.ts';
import { fill, runs } from '../support/disk.ts';
import { VolumeHost } from '../support/volume-host.ts';
import { collectGarbage } from './collector.ts';

const size = 16 << 20;

/** Mounts a small ext4 where the SR goes. */
function mountSmall(host: VolumeHost): void {
  const image = join(host.folder, 'ext4');
  const fd = openSync(image, 'w');
  ftruncateSync(fd, 64 << 20);
  closeSync(fd);
  execFileSync('mkfs.ext4', ['-q', '-b', '4096', '-m', '0', '-N', '64', image]);
  execFileSync('mount', ['-o', 'loop', image, host.path]);
  host.defer(() => execFileSync('umount', [host.path]));
}

/** Takes all room that there is. */
function takeRoom(host: VolumeHost): void {
  const fd = openSync(join(host.path, 'ballast'), 'w');
  try {
    for (const length of [1 << 20, 65_536, 4096, 512]) {
      try {
        for (;;) writeSync(fd, new Uint8Array(length));
      } catch {
        // Full for this length.
      }
    }
  } finally {
    closeSync(fd);
  }
  expect(statfsSync(host.path).bavail).toBe(0);
}

describe.each(['raw', 'qcow2'])('an SR without room, with a root of %s', (format) => {
  it('gets that back which parent and child both hold', async () => {
    using host = new VolumeHost();
    mountSmall(host);
    const sr = await host.makeSr({ 'image-format': format });
    const { key } = await host.makeVolume(BigInt(size));
    fill(await host.call('Volume.stat', { sr, key }), 1, 0, size);
    const snapshot = await host.call('Volume.snapshot', { sr, key });
    fill(await host.call('Volume.stat', { sr, key }), 2, 0, size);
    takeRoom(host);
    await host.call('Volume.destroy', { sr, key: snapshot.key });
    expect(await collectGarbage(host)).toBe(`${sr}: 1 images merged\n`);
    const { bavail, bsize } = statfsSync(host.path);
    expect(bavail * bsize).toBeGreaterThan(size - (4 << 20));
    rmSync(join(host.path, 'ballast'));
    expect(runs(await host.call('Volume.stat', { sr, key }))).toBe(`2x${size}`);
    checkConsistent(host);
  });

  it('has a reserve for a little more, and leaves what does not fit as it is', async () => {
    using host = new VolumeHost();
    mountSmall(host);
    const sr = await host.makeSr({ 'image-format': format });
    // That makes the reserve.
    await collectGarbage(host);
    const reserve = join(host.path, 'reserve');
    expect(existsSync(reserve)).toBe(true);
    const keys: string[] = [];
    for (const bytes of [65_536, 8 << 20]) {
      const { key } = await host.makeVolume(BigInt(size));
      const snapshot = await host.call('Volume.snapshot', { sr, key });
      fill(await host.call('Volume.stat', { sr, key }), 1, 0, bytes);
      await host.call('Volume.snapshot', { sr, key });
      keys.push(key, snapshot.key);
    }
    takeRoom(host);
    const [small = '', ofSmall = '', big = '', ofBig = ''] = keys;
    for (const key of [ofSmall, ofBig]) await host.call('Volume.destroy', { sr, key });
    expect(await collectGarbage(host)).toBe(
      `${sr}: 1 images merged, left for later: 1 without the room that a merge needs\n`,
    );
    expect(existsSync(reserve)).toBe(false);
    rmSync(join(host.path, 'ballast'));
    expect(runs(await host.call('Volume.stat', { sr, key: small }))).toBe(`1x65536 0x${size - 65_536}`);
    expect(runs(await host.call('Volume.stat', { sr, key: big }))).toBe(`1x${8 << 20} 0x${size - (8 << 20)}`);
    expect(await collectGarbage(host)).toBe(`${sr}: 1 images merged\n`);
    expect(existsSync(reserve)).toBe(true);
    checkConsistent(host);
    await host.call('SR.destroy', { sr });
    expect(existsSync(reserve)).toBe(false);
  });
});
