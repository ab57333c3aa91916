import { execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Host, isFree, loopAttribute, loopsBelow, useFolder } from './host.ts';

const MiB = 1024 * 1024;
const folder = useFolder();

function newHost(name = 'host'): Host {
  return new Host(join(folder.path, name));
}

function newImage(name = 'disk.raw', size = 8 * MiB): { image: string; uri: string } {
  const image = join(folder.path, name);
  writeFileSync(image, '');
  truncateSync(image, size);
  return { image, uri: `raw+file://${image}` };
}

function writeAt(path: string, data: Buffer, position: number): void {
  const fd = openSync(path, 'r+');
  try {
    writeSync(fd, data, 0, data.length, position);
  } finally {
    closeSync(fd);
  }
}

function readAt(path: string, length: number, position: number): Buffer {
  const fd = openSync(path, 'r');
  try {
    const data = Buffer.alloc(length);
    readSync(fd, data, 0, length, position);
    return data;
  } finally {
    closeSync(fd);
  }
}

/** The processes that have a file open. */
function openersOf(file: string): readonly number[] {
  const has = (pid: string) => {
    try {
      return readdirSync(`/proc/${pid}/fd`).some((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`) === file);
    } catch {
      return false;
    }
  };
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && has(name))
    .map(Number);
}

describe('the plugin', () => {
  it('says what xapi needs to register it', async () => {
    expect(await newHost().call('Plugin.query', {})).toMatchObject({
      plugin: 'raw+file',
      required_api_version: '5.0',
      features: [],
    });
  });

  it('describes active disks in its diagnostics', async () => {
    const host = newHost();
    const { image, uri } = newImage();
    await host.call('Datapath.activate', { uri, domain: '5' });
    expect(await host.call('Plugin.diagnostics', {})).toMatch(
      new RegExp(`${image}: /dev/loop[0-9]+, read-write, (direct|buffered) I/O, 1 domain`),
    );
    await host.call('Datapath.detach', { uri, domain: '5' });
    expect(await host.call('Plugin.diagnostics', {})).not.toContain(image);
  });
});

describe('one disk', () => {
  it('is written through its block device into its file', async () => {
    const host = newHost();
    const { image, uri } = newImage();
    await host.call('Datapath.open', { uri, persistent: true });
    const before = await host.call('Datapath.attach', { uri, domain: '5' });
    await host.call('Datapath.activate', { uri, domain: '5' });
    expect(await host.call('Datapath.attach', { uri, domain: '5' })).toEqual(before);

    const device = await host.device(uri);
    expect(before.implementations).toEqual([
      ['XenDisk', { params: device, extra: {}, backend_type: 'vbd' }],
      ['BlockDevice', { path: device }],
    ]);
    expect(statSync(device).isBlockDevice()).toBe(true);
    expect(execFileSync('blockdev', ['--getsize64', '--getss', device], { encoding: 'utf8' })).toBe(
      `${8 * MiB}\n512\n`,
    );
    // Buffered by dom0 and not synced: deactivate has to.
    writeAt(device, Buffer.from('written by a guest'), 3 * MiB + 512);

    await host.call('Datapath.deactivate', { uri, domain: '5' });
    expect(existsSync(device)).toBe(false);
    expect(loopsBelow(folder.path)).toEqual([]);
    expect(readAt(image, 18, 3 * MiB + 512).toString()).toBe('written by a guest');
    await host.call('Datapath.detach', { uri, domain: '5' });
    await host.call('Datapath.close', { uri });
    expect(readdirSync(join(host.run, 'datapath'))).toEqual([]);
    expect(readdirSync(join(host.run, 'device'))).toEqual([]);
  });

  it('keeps its data and device over repeated calls in any order', async () => {
    const host = newHost();
    const { uri } = newImage();
    await host.call('Datapath.deactivate', { uri, domain: '5' });
    await host.call('Datapath.detach', { uri, domain: '5' });
    await host.call('Datapath.activate', { uri, domain: '5' });
    const device = await host.device(uri);
    const loop = readlinkSync(device);
    writeAt(device, Buffer.from('kept'), 0);
    await host.call('Datapath.activate', { uri, domain: '5' });
    expect(readlinkSync(device)).toBe(loop);
    await host.call('Datapath.detach', { uri, domain: '5' });
    await host.call('Datapath.deactivate', { uri, domain: '5' });
    await host.call('Datapath.activate', { uri, domain: '5' });
    expect(readAt(device, 4, 0).toString()).toBe('kept');
    await host.call('Datapath.detach', { uri, domain: '5' });
  });

  it('has the new size after its image grew', async () => {
    const host = newHost();
    const { image, uri } = newImage();
    await host.call('Datapath.activate', { uri, domain: '5' });
    await host.call('Datapath.deactivate', { uri, domain: '5' });
    truncateSync(image, 12 * MiB + 4096);
    await host.call('Datapath.activate', { uri, domain: '5' });
    const device = await host.device(uri);
    expect(execFileSync('blockdev', ['--getsize64', device], { encoding: 'utf8' })).toBe(
      `${12 * MiB + 4096}\n`,
    );
    await host.call('Datapath.detach', { uri, domain: '5' });
  });

  it('may have any name', async () => {
    const host = newHost();
    const { image } = newImage('é %#?.raw');
    const uri = `raw+file://${folder.path}/${encodeURIComponent('é %#?.raw')}`;
    await host.call('Datapath.activate', { uri, domain: '5' });
    expect(isFree(image)).toBe(false);
    await host.call('Datapath.detach', { uri, domain: '5' });
    expect(isFree(image)).toBe(true);
  });

  it('gives space back on discard, misaligned ends included', async () => {
    const host = newHost();
    const { image, uri } = newImage();
    await host.call('Datapath.activate', { uri, domain: '5' });
    const device = await host.device(uri);
    writeAt(device, Buffer.alloc(4 * MiB, 0xaa), 0);
    execFileSync('sync', [device]);
    const full = statSync(image).blocks;
    execFileSync('blkdiscard', ['--offset', '512', '--length', String(MiB + 512), device]);
    await host.call('Datapath.detach', { uri, domain: '5' });
    expect((full - statSync(image).blocks) * 512).toBeGreaterThanOrEqual(MiB - 8192);
    expect(readAt(image, 512, 0)).toEqual(Buffer.alloc(512, 0xaa));
    expect(readAt(image, 512, MiB + 1024)).toEqual(Buffer.alloc(512, 0xaa));
  });
});

describe('the lock', () => {
  it('outlives the activating process, keeps others off, and ends with deactivate', async () => {
    const [host, other] = [newHost('host'), newHost('other')];
    const { image, uri } = newImage();
    await host.call('Datapath.activate', { uri, domain: '5' });
    expect(isFree(image)).toBe(false);
    expect((await other.failure('Datapath.activate', { uri, domain: '5' })).params[0]).toBe('VolumeInUse');
    expect((await other.failure('Datapath.activate_readonly', { uri, domain: '5' })).params[0]).toBe(
      'VolumeInUse',
    );
    // A host that has nothing active takes nothing from one that has.
    await other.call('Datapath.deactivate', { uri, domain: '5' });
    expect(isFree(image)).toBe(false);

    await host.call('Datapath.deactivate', { uri, domain: '5' });
    expect(isFree(image)).toBe(true);
    await other.call('Datapath.activate', { uri, domain: '5' });
    await other.call('Datapath.detach', { uri, domain: '5' });
  });

  it('names the process of this host that has the image', async () => {
    const { image, uri } = newImage();
    const holder = spawn('flock', ['--exclusive', '--no-fork', image, 'sleep', '60']);
    folder.undo.push(() => {
      holder.kill();
    });
    while (isFree(image)) await sleep(10);
    const { params } = await newHost().failure('Datapath.activate', { uri, domain: '5' });
    expect(params[0]).toBe('VolumeInUse');
    expect(params[1]).toContain(`locked by process ${holder.pid} (sleep)`);
  });

  it('refuses an image that is destroyed while it waits for the lock', async () => {
    const { image, uri } = newImage();
    const holder = spawn('flock', ['--exclusive', '--no-fork', image, 'sleep', '60']);
    folder.undo.push(() => {
      holder.kill();
    });
    while (isFree(image)) await sleep(10);
    const activation = newHost().failure('Datapath.activate', { uri, domain: '5' });
    while (openersOf(image).every((pid) => pid === holder.pid)) await sleep(2);
    rmSync(image);
    holder.kill();
    expect((await activation).params[0]).toBe('ImageMissing');
    expect(loopsBelow(folder.path)).toEqual([]);
  });

  it('names the other host that has the image', async () => {
    const [host, other] = [newHost('host'), newHost('other')];
    const { uri } = newImage();
    const uuid = '6f0c2d5e-6a5c-4d39-93b9-0d3f3a0f5e11';
    const inventory = join(folder.path, 'inventory');
    writeFileSync(inventory, `PRODUCT_BRAND='XCP-ng'\nINSTALLATION_UUID='${uuid}'\n`);
    await host.call(
      'Datapath.activate',
      { uri, domain: '5' },
      { environment: { GFS2_SR_INVENTORY_FILE: inventory } },
    );
    // In another pid namespace /proc/locks does not show the holder: as on another host.
    const wrapper = ['unshare', '--pid', '--fork', '--mount-proc'];
    const failure = await other.failure('Datapath.activate', { uri, domain: '5' }, { wrapper });
    expect(failure.params).toEqual(['Activated_on_another_host', uuid]);
    expect(failure.sentence).toContain(`is in use on the host ${uuid}`);
    await host.call('Datapath.detach', { uri, domain: '5' });
  });

  it('is won by exactly one of several guests, and of several hosts, that want it at once', async () => {
    const { image, uri } = newImage();
    const host = newHost();
    const guests = ['1', '2', '3', '4'].map((domain) => ({ host, domain }));
    const hosts = ['a', 'b', 'c', 'd'].map((name) => ({ host: newHost(name), domain: '1' }));
    for (const rivals of [guests, hosts]) {
      const ended = await Promise.all(
        rivals.map((rival) => rival.host.start('Datapath.activate', { uri, domain: rival.domain })),
      );
      expect(ended.filter(({ exitCode }) => exitCode === 0)).toHaveLength(1);
      expect(loopsBelow(folder.path)).toHaveLength(1);
      await Promise.all(
        rivals.map((rival) => rival.host.call('Datapath.detach', { uri, domain: rival.domain })),
      );
      expect(isFree(image)).toBe(true);
    }
  });
});

describe('domains', () => {
  it('are kept apart, guest from guest and from dom0', async () => {
    const host = newHost();
    const { image, uri } = newImage();
    await host.call('Datapath.activate', { uri, domain: '5' });
    for (const domain of ['6', '0', 'u0_backup']) {
      const { params } = await host.failure('Datapath.activate', { uri, domain });
      expect(params).toEqual([
        'VolumeInUse',
        `The image ${image} is active read-write for domain 5 on this host; deactivate it there first.`,
      ]);
    }
    // Not one of those that were refused may end it.
    await host.call('Datapath.detach', { uri, domain: '6' });
    expect(isFree(image)).toBe(false);
    await host.call('Datapath.detach', { uri, domain: '5' });
  });

  it('of dom0 share one activation, whose last one ends it', async () => {
    const host = newHost();
    const { image, uri } = newImage();
    await host.call('Datapath.activate', { uri, domain: 'u0_a' });
    await host.call('Datapath.activate', { uri, domain: 'u0_b' });
    const fd = openSync(await host.device(uri, 'u0_b'), 'r+');
    await host.call('Datapath.deactivate', { uri, domain: 'u0_a' });
    await host.call('Datapath.detach', { uri, domain: 'u0_a' });
    await host.call('Datapath.activate', { uri, domain: 'u0_b' });
    writeSync(fd, Buffer.alloc(512, 'b'), 0, 512, 4096);
    fsyncSync(fd);
    closeSync(fd);
    await host.call('Datapath.deactivate', { uri, domain: 'u0_b' });
    expect(isFree(image)).toBe(true);
    expect(readAt(image, 512, 4096)).toEqual(Buffer.alloc(512, 'b'));
  });

  it('all write to a sharable disk, on every host', async () => {
    const [host, other] = [newHost('host'), newHost('other')];
    const { image, uri: exclusive } = newImage();
    const uri = `${exclusive}?sharable=true`;
    await host.call('Datapath.activate', { uri, domain: '5' });
    await host.call('Datapath.activate', { uri, domain: '6' });
    await other.call('Datapath.activate', { uri, domain: '7' });
    writeAt(await other.device(uri), Buffer.from('seen'), 0);
    await other.call('Datapath.detach', { uri, domain: '7' });
    await host.call('Datapath.detach', { uri, domain: '5' });
    expect(isFree(image)).toBe(false);
    expect((await host.failure('Datapath.activate', { uri: exclusive, domain: '8' })).params[1]).toContain(
      'active read-write and sharable',
    );
    expect(readAt(await host.device(uri), 4, 0).toString()).toBe('seen');
    await host.call('Datapath.detach', { uri, domain: '6' });
    expect(isFree(image)).toBe(true);
  });
});

describe('a read-only activation', () => {
  it('refuses writes, is for many, and never beside a read-write one', async () => {
    const [host, other] = [newHost('host'), newHost('other')];
    const { image, uri } = newImage();
    await host.call('Datapath.activate_readonly', { uri, domain: '5' });
    await host.call('Datapath.activate_readonly', { uri, domain: '6' });
    await other.call('Datapath.activate_readonly', { uri, domain: '7' });
    const device = await host.device(uri);
    expect(() => writeAt(device, Buffer.alloc(512), 0)).toThrow(/EPERM|EACCES|EROFS/);

    expect((await host.failure('Datapath.activate', { uri, domain: '5' })).params[1]).toContain(
      'is active read-only',
    );
    await host.call('Datapath.deactivate', { uri, domain: '5' });
    await host.call('Datapath.deactivate', { uri, domain: '6' });
    expect((await host.failure('Datapath.activate', { uri, domain: '5' })).params[0]).toBe('VolumeInUse');
    await other.call('Datapath.deactivate', { uri, domain: '7' });

    await host.call('Datapath.activate', { uri, domain: '5' });
    writeAt(device, Buffer.from('writable'), 0);
    expect((await host.failure('Datapath.activate_readonly', { uri, domain: '5' })).params[1]).toContain(
      'is active read-write',
    );
    await host.call('Datapath.detach', { uri, domain: '5' });
    expect(readAt(image, 8, 0).toString()).toBe('writable');
  });
});

describe('an image that is frozen', () => {
  it('is served for reading only, also to who has known it before', async () => {
    const host = newHost();
    const { image, uri } = newImage();
    await host.call('Datapath.attach', { uri, domain: '5' });
    chmodSync(image, 0o400);
    const { params } = await host.failure('Datapath.activate', { uri, domain: '5' });
    expect(params).toEqual(['ImageFrozen', expect.stringContaining(image)]);
    expect(isFree(image)).toBe(true);
    await host.call('Datapath.activate_readonly', { uri, domain: '5' });
    await host.call('Datapath.detach', { uri, domain: '5' });
  });
});

describe('a call killed half-way', () => {
  const faults = ['locked', 'image-locked', 'intended', 'bound', 'linked', 'recorded'];

  it.each(faults)('after activate.%s: activate can be repeated', async (fault) => {
    const host = newHost();
    const { image, uri } = newImage();
    const environment = { GFS2_SR_FAULT: `activate.${fault}` };
    const killed = await host.start('Datapath.activate', { uri, domain: '5' }, { environment });
    expect(killed.signal).toBe('SIGKILL');
    // A guest that was promised nothing blocks none; one whose activation was complete has it.
    const heir = fault === 'recorded' ? '5' : '6';
    await host.call('Datapath.activate', { uri, domain: heir });
    expect(loopsBelow(folder.path)).toHaveLength(1);
    writeAt(await host.device(uri), Buffer.from(fault), 0);
    await host.call('Datapath.deactivate', { uri, domain: heir });
    expect(readAt(image, fault.length, 0).toString()).toBe(fault);
    expect(isFree(image)).toBe(true);
  });

  it.each(faults)('after activate.%s: deactivate and detach clean up', async (fault) => {
    const host = newHost();
    const { image, uri } = newImage();
    for (const call of ['Datapath.deactivate', 'Datapath.detach'] as const) {
      const environment = { GFS2_SR_FAULT: `activate.${fault}` };
      await host.start('Datapath.activate', { uri, domain: '5' }, { environment });
      await host.call(call, { uri, domain: '5' });
      expect(isFree(image)).toBe(true);
      expect(loopsBelow(folder.path)).toEqual([]);
      expect(readdirSync(join(host.run, 'datapath'))).toEqual([]);
    }
  });

  it('in deactivate: another host has the disk at once, and the call can be repeated', async () => {
    const [host, other] = [newHost('host'), newHost('other')];
    const { uri } = newImage();
    await host.call('Datapath.activate', { uri, domain: '5' });
    const environment = { GFS2_SR_FAULT: 'deactivate.unbound' };
    const killed = await host.start('Datapath.deactivate', { uri, domain: '5' }, { environment });
    expect(killed.signal).toBe('SIGKILL');
    await other.call('Datapath.activate', { uri, domain: '5' });
    await host.call('Datapath.deactivate', { uri, domain: '5' });
    expect(loopsBelow(folder.path)).toHaveLength(1);
    await other.call('Datapath.detach', { uri, domain: '5' });
  });

  it('before a device was bound: another host has the disk at once', async () => {
    const [host, other] = [newHost('host'), newHost('other')];
    const { uri } = newImage();
    const environment = { GFS2_SR_FAULT: 'activate.image-locked' };
    await host.start('Datapath.activate', { uri, domain: '5' }, { environment });
    await other.call('Datapath.activate', { uri, domain: '5' });
    await other.call('Datapath.detach', { uri, domain: '5' });
  });
});

describe('records that are wrong', () => {
  it('of a device that is gone are dropped', async () => {
    const host = newHost();
    const { image, uri } = newImage();
    await host.call('Datapath.activate', { uri, domain: '5' });
    execFileSync('losetup', ['--detach', realpathSync(await host.device(uri))]);
    await host.call('Datapath.activate', { uri, domain: '6' });
    expect(isFree(image)).toBe(false);
    await host.call('Datapath.detach', { uri, domain: '6' });
  });

  it('that lead to the device of another disk do it no harm', async () => {
    const host = newHost();
    const [first, second] = [newImage('first.raw'), newImage('second.raw')];
    await host.call('Datapath.activate', { uri: first.uri, domain: '5' });
    const loop = realpathSync(await host.device(first.uri));
    execFileSync('losetup', ['--detach', loop]);
    execFileSync('losetup', [loop, second.image]);
    await host.call('Datapath.detach', { uri: first.uri, domain: '5' });
    expect(loopsBelow(folder.path)).toEqual([loop]);
    execFileSync('losetup', ['--detach', loop]);
  });

  it('and lost ones leave a disk that is refused in words, and that deactivate lets go', async () => {
    const host = newHost();
    const { image, uri } = newImage();
    await host.call('Datapath.activate', { uri, domain: '5' });
    rmSync(host.run, { recursive: true });
    expect((await host.failure('Datapath.activate', { uri, domain: '6' })).params[1]).toContain(
      'for a domain of which no record is left',
    );
    await host.call('Datapath.deactivate', { uri, domain: '5' });
    expect(isFree(image)).toBe(true);
  });

  it('and damaged ones count as lost', async () => {
    const host = newHost();
    const { image, uri } = newImage();
    await host.call('Datapath.activate', { uri, domain: '5' });
    const [key = ''] = readdirSync(join(host.run, 'datapath'));
    writeFileSync(join(host.run, 'datapath', key, 'state.json'), '{"loop":"x"');
    await host.call('Datapath.detach', { uri, domain: '5' });
    expect(isFree(image)).toBe(true);
  });
});

describe('a device that someone keeps open', () => {
  it('is named by deactivate, never holds up detach, and is free once it is closed', async () => {
    const host = newHost();
    const { image, uri } = newImage();
    await host.call('Datapath.activate', { uri, domain: '5' });
    const device = await host.device(uri);
    const holder = spawn('sleep', ['60'], { stdio: [openSync(device, 'r'), 'ignore', 'ignore'] });
    folder.undo.push(() => {
      holder.kill();
    });
    // vitest's own descriptor would be a second holder.
    for (const fd of readdirSync('/proc/self/fd')) {
      if (linkOf(`/proc/self/fd/${fd}`) === realpathSync(device)) closeSync(Number(fd));
    }
    const { params } = await host.failure('Datapath.deactivate', { uri, domain: '5' });
    expect(params[0]).toBe('DeviceInUse');
    expect(params[1]).toContain(`process ${holder.pid} (sleep)`);
    expect(existsSync(device)).toBe(false);
    await host.call('Datapath.detach', { uri, domain: '5' });
    expect(isFree(image)).toBe(false);

    holder.kill();
    while (!isFree(image)) await sleep(10);
    await host.call('Datapath.activate', { uri, domain: '6' });
    await host.call('Datapath.detach', { uri, domain: '6' });
  });

  it('is named by deactivate also where it is a user of a partition', async () => {
    const host = newHost();
    const { image, uri } = newImage();
    await host.call('Datapath.activate', { uri, domain: '5' });
    const device = realpathSync(await host.device(uri));
    // An MBR (UEFI 5.2.1) with one partition of 6 MiB behind the first MiB.
    const table = Buffer.alloc(512);
    table.writeUInt8(0x83, 450);
    table.writeUInt32LE(2048, 454);
    table.writeUInt32LE(12_288, 458);
    table.writeUInt16LE(0xaa55, 510);
    writeAt(device, table, 0);
    execFileSync('partx', ['--add', device]);
    const holder = spawn('sleep', ['60'], { stdio: [openSync(`${device}p1`, 'r'), 'ignore', 'ignore'] });
    folder.undo.push(() => {
      holder.kill();
    });
    for (const fd of readdirSync('/proc/self/fd')) {
      if (linkOf(`/proc/self/fd/${fd}`) === `${device}p1`) closeSync(Number(fd));
    }
    const { params } = await host.failure('Datapath.deactivate', { uri, domain: '5' });
    expect(params).toEqual(['DeviceInUse', expect.stringContaining(`process ${holder.pid} (sleep)`)]);
    holder.kill();
    while (!isFree(image)) await host.call('Datapath.detach', { uri, domain: '5' });
    // The kernel keeps the partition of the device, which the next disk gets.
    const others: string[] = [];
    do {
      const next = newImage(`next-${others.length}.raw`);
      others.push(next.uri);
      await host.call('Datapath.activate', { uri: next.uri, domain: '5' });
    } while (realpathSync(await host.device(others.at(-1) ?? '')) !== device);
    expect(existsSync(`${device}p1`)).toBe(false);
    for (const other of others) await host.call('Datapath.detach', { uri: other, domain: '5' });
  });
});

describe('many disks', () => {
  it('are activated at once, each on a device of its own, more than the kernel has ready', async () => {
    const host = newHost();
    const disks = Array.from({ length: 12 }, (_, index) => newImage(`${index}.raw`));
    await Promise.all(disks.map(({ uri }) => host.call('Datapath.activate', { uri, domain: '5' })));
    for (const [index, { uri }] of disks.entries()) {
      writeAt(await host.device(uri), Buffer.from([index]), 0);
    }
    await Promise.all(disks.map(({ uri }) => host.call('Datapath.detach', { uri, domain: '5' })));
    expect(disks.map(({ image }) => readAt(image, 1, 0)[0])).toEqual(disks.map((_, index) => index));
  });
});

describe('what cannot be served', () => {
  it('is refused in words', async () => {
    const host = newHost();
    const path = (name: string): string => join(folder.path, name);
    mkdirSync(path('folder'));
    symlinkSync(newImage('target.raw').image, path('link.raw'));
    newImage('cut.raw', 1000);
    execFileSync('mkfifo', [path('pipe')]);
    for (const [name, kind, words] of [
      ['missing.raw', 'ImageMissing', 'is its SR attached on this host?'],
      ['target.raw/x', 'ImageMissing', 'is its SR attached on this host?'],
      ['folder', 'NotAnImage', 'is not a regular file'],
      ['link.raw', 'NotAnImage', 'is not a regular file'],
      ['pipe', 'NotAnImage', 'is not a regular file'],
      ['cut.raw', 'NotAnImage', 'has 1000 bytes, which is no multiple of 512'],
    ] as const) {
      const parameters = { uri: `raw+file://${path(name)}`, domain: '5' };
      for (const call of ['Datapath.attach', 'Datapath.activate'] as const) {
        const { params } = await host.failure(call, parameters);
        expect(params[0]).toBe(kind);
        expect(params[1]).toContain(path(name));
        expect(params[1]).toContain(words);
      }
    }
    expect(
      (await host.failure('Datapath.attach', { uri: 'raw+block:///dev/sda', domain: '5' })).params[0],
    ).toBe('BadUri');
  });

  it('includes a disk that is to forget its writes', async () => {
    const { uri } = newImage();
    const { params } = await newHost().failure('Datapath.open', { uri, persistent: false });
    expect(params[0]).toBe('NonPersistentUnsupported');
  });

  it('does not keep a disk whose image was removed from being let go', async () => {
    const host = newHost();
    const { image, uri } = newImage();
    await host.call('Datapath.activate', { uri, domain: '5' });
    renameSync(image, `${image}.gone`);
    await host.call('Datapath.deactivate', { uri, domain: '5' });
    expect(isFree(`${image}.gone`)).toBe(true);
  });
});

describe('filesystems', () => {
  /** Mounts a new ext4 on a disk with sectors of some size; the test's end undoes it. */
  function mountExt4(sectorSize: number): string {
    const mountPoint = join(folder.path, 'mount');
    const disk = newImage('array.raw', 64 * MiB).image;
    const loop = execFileSync('losetup', ['--find', '--show', '--sector-size', String(sectorSize), disk], {
      encoding: 'utf8',
    }).trim();
    folder.undo.push(() => {
      execFileSync('losetup', ['--detach', loop]);
    });
    execFileSync('mkfs.ext4', ['-q', '-b', '4096', loop]);
    mkdirSync(mountPoint);
    execFileSync('mount', [loop, mountPoint]);
    folder.undo.push(() => {
      execFileSync('umount', [mountPoint]);
    });
    return mountPoint;
  }

  it.each([
    [512, '1'],
    [4096, '0'],
  ])('with sectors of %i bytes take writes of 512 bytes (direct I/O: %s)', async (sectorSize, direct) => {
    const host = newHost();
    const mountPoint = mountExt4(sectorSize);
    const image = join(mountPoint, 'disk.raw');
    writeFileSync(image, Buffer.alloc(MiB, 0x11));
    const uri = `raw+file://${image}`;
    await host.call('Datapath.activate', { uri, domain: '5' });
    const device = await host.device(uri);
    expect(loopAttribute(realpathSync(device), 'loop/dio')).toBe(direct);
    const pattern = join(folder.path, 'pattern');
    writeFileSync(pattern, Buffer.alloc(512, 0x22));
    // As a guest's driver does: past the page cache of the device.
    execFileSync(
      'dd',
      [`if=${pattern}`, `of=${device}`, 'bs=512', 'seek=1', 'oflag=direct', 'conv=notrunc'],
      {
        stdio: 'ignore',
      },
    );
    await host.call('Datapath.detach', { uri, domain: '5' });
    execFileSync('mount', ['-o', 'remount,ro', mountPoint]);
    writeFileSync('/proc/sys/vm/drop_caches', '1');
    const stored = readFileSync(image);
    expect(stored.subarray(0, 512)).toEqual(Buffer.alloc(512, 0x11));
    expect(stored.subarray(512, 1024)).toEqual(Buffer.alloc(512, 0x22));
    expect(stored.subarray(1024, MiB)).toEqual(Buffer.alloc(MiB - 1024, 0x11));
  });

  it('in memory serve disks too', async () => {
    const host = newHost();
    const mountPoint = join(folder.path, 'memory');
    mkdirSync(mountPoint);
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', mountPoint]);
    folder.undo.push(() => {
      execFileSync('umount', [mountPoint]);
    });
    const { image, uri } = newImage('memory/disk.raw');
    await host.call('Datapath.activate', { uri, domain: '5' });
    writeAt(await host.device(uri), Buffer.from('in memory'), 4096);
    await host.call('Datapath.detach', { uri, domain: '5' });
    expect(readAt(image, 9, 4096).toString()).toBe('in memory');
  });
});

describe('storage that is full', () => {
  it('makes deactivate say once that writes are lost, and holds up neither its repetition nor detach', async () => {
    const host = newHost();
    const mountPoint = join(folder.path, 'small');
    mkdirSync(mountPoint);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', mountPoint]);
    folder.undo.push(() => {
      execFileSync('umount', [mountPoint]);
    });
    const { image, uri } = newImage('small/disk.raw', 16 * MiB);
    for (const call of ['Datapath.deactivate', 'Datapath.detach'] as const) {
      await host.call('Datapath.activate', { uri, domain: '5' });
      writeAt(await host.device(uri), Buffer.alloc(8 * MiB, 0x55), 0);
      if (call === 'Datapath.deactivate') {
        expect((await host.failure(call, { uri, domain: '5' })).params[0]).toBe('FlushFailed');
        expect(isFree(image)).toBe(false);
      }
      await host.call(call, { uri, domain: '5' });
      expect(isFree(image)).toBe(true);
    }
  });
});

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
