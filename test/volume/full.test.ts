import { execFileSync } from 'node:child_process';
import { closeSync, ftruncateSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { VolumeHost } from '../support/volume-host.ts';

/** Mounts a small ext4 where the SR goes. */
function mountSmall(host: VolumeHost): void {
  const image = join(host.folder, 'ext4');
  const fd = openSync(image, 'w');
  ftruncateSync(fd, 8 << 20);
  closeSync(fd);
  execFileSync('mkfs.ext4', ['-q', '-b', '4096', '-m', '0', '-N', '64', image]);
  execFileSync('mount', ['-o', 'loop', image, host.path]);
  host.defer(() => execFileSync('umount', [host.path]));
}

function fill(host: VolumeHost): void {
  const fd = openSync(join(host.path, 'ballast'), 'w');
  try {
    for (const size of [65536, 4096, 512]) {
      try {
        for (;;) writeSync(fd, new Uint8Array(size));
      } catch {
        // Full for this size.
      }
    }
  } finally {
    closeSync(fd);
  }
}

function useInodes(host: VolumeHost): void {
  try {
    for (let count = 0; ; count++) writeFileSync(join(host.path, `inode-${count}`), '');
  } catch {
    // None left.
  }
}

describe('an SR whose filesystem is full', () => {
  it('refuses a volume in words and leaves nothing of it, and still lets volumes be destroyed', async () => {
    using host = new VolumeHost();
    mountSmall(host);
    const sr = await host.makeSr();
    const volumes = [await host.makeVolume(), await host.makeVolume()];
    fill(host);
    useInodes(host);
    expect((await host.call('SR.stat', { sr })).free_space).toBe(0n);

    const { code, params } = await host.failure('Volume.create', {
      sr,
      name: '',
      description: '',
      size: 1n << 20n,
      sharable: false,
    });
    expect(code).toBe('SR_BACKEND_FAILURE_44');
    expect(params[1]).toContain(host.path);
    expect(host.images()).toHaveLength(2);
    expect(await host.call('SR.ls', { sr })).toHaveLength(2);

    for (const { key } of volumes) await host.call('Volume.destroy', { sr, key });
    expect(host.images()).toEqual([]);
    expect(await host.call('SR.ls', { sr })).toEqual([]);
    await host.makeVolume();
    await host.call('SR.destroy', { sr });
  });

  it('keeps a volume whose image cannot be removed, with all that belongs to it', async () => {
    using host = new VolumeHost();
    mountSmall(host);
    const sr = await host.makeSr();
    const { key } = await host.makeVolume();
    await host.call('Volume.set', { sr, key, k: 'vdi-type', v: 'user' });
    const before = await host.call('Volume.stat', { sr, key });
    const images = join(host.path, 'images');
    execFileSync('chattr', ['+i', images]);
    try {
      expect((await host.failure('Volume.destroy', { sr, key })).params[0]).toBe('SRNotWritable');
    } finally {
      execFileSync('chattr', ['-i', images]);
    }
    expect(await host.call('Volume.stat', { sr, key })).toEqual(before);
    await host.call('Volume.destroy', { sr, key });
    expect(host.images()).toEqual([]);
  });

  it('cannot be made there', async () => {
    using host = new VolumeHost();
    mountSmall(host);
    fill(host);
    const { code } = await host.failure('SR.create', {
      uuid: host.uuid,
      configuration: { provider: 'path', path: host.path, force: 'true' },
      name: '',
      description: '',
    });
    expect(code).toBe('SR_BACKEND_FAILURE_44');
  });

  it('names the size that its filesystem has no files of', async () => {
    using host = new VolumeHost();
    mountSmall(host);
    const sr = await host.makeSr({ 'image-format': 'raw' });
    const { params } = await host.failure('Volume.create', {
      sr,
      name: '',
      description: '',
      size: 16n << 40n,
      sharable: false,
    });
    expect(params).toEqual(['VolumeTooBig', expect.stringContaining(String(16n << 40n))]);
    expect(host.images()).toEqual([]);
  });
});
