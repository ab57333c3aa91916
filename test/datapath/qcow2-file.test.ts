import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { mountSmallStorage } from '../support/small-storage.ts';
import { startWriter } from '../support/writer.ts';
import { formatRequest } from '../support/xapi.ts';
import { diskProcesses, Host, isFree, useFolder } from './host.ts';

const folder = useFolder();

function newHost(name = 'host'): Host {
  return new Host(join(folder.path, name), 'qcow2+file');
}

interface TestImage {
  readonly image: string;
  readonly uri: string;
}

/** Makes an image of 64 MiB as the volume plugin does. */
function newImage(name: string, parent?: string, format = 'qcow2'): TestImage {
  const image = join(folder.path, name);
  const backing = parent === undefined ? [] : ['-u', '-b', parent, '-F', format];
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-o', 'extended_l2=on', ...backing, image, '64M']);
  return { image, uri: `qcow2+file://${image}` };
}

/** Freezes an image, as a snapshot does. */
function freeze({ image }: TestImage): void {
  chmodSync(image, 0o400);
}

/** Runs commands of qemu-io on a disk, through its socket; answers what it says. */
async function io(host: Host, uri: string, ...commands: readonly string[]): Promise<string> {
  const reading = commands.every((command) => /^(read|length)/.test(command)) ? ['-r'] : [];
  const args = [...reading, ...commands.flatMap((command) => ['-c', command])];
  const ended = spawnSync('qemu-io', ['-f', 'raw', ...args, await host.socket(uri)], { encoding: 'utf8' });
  const said = `${ended.stdout}${ended.stderr}`;
  return ended.status === 0 ? said : `${said}\nfailed`;
}

/** What an image that nobody runs reads as. */
function imageReads({ image }: TestImage, command: string): boolean {
  const { status, stdout } = spawnSync('qemu-io', ['-r', '-f', 'qcow2', '-c', command, image], {
    encoding: 'utf8',
  });
  return status === 0 && !stdout.includes('Pattern verification failed');
}

describe('the plugin', () => {
  it('says what xapi needs to register it', async () => {
    expect(await newHost().call('Plugin.query', {})).toMatchObject({
      plugin: 'qcow2+file',
      required_api_version: '5.0',
      features: [],
    });
  });

  it('describes active disks in its diagnostics', async () => {
    const host = newHost();
    const base = newImage('base.qcow2');
    freeze(base);
    const { image, uri } = newImage('disk.qcow2', 'base.qcow2');
    await host.call('Datapath.activate', { uri, domain: '5' });
    expect(await host.call('Plugin.diagnostics', {})).toMatch(
      new RegExp(
        `${image}: process [0-9]+, (direct|buffered) I/O \\(.*\\), 2 image\\(s\\), .*read-write, 1 domain`,
      ),
    );
    await host.call('Datapath.detach', { uri, domain: '5' });
    expect(await host.call('Plugin.diagnostics', {})).not.toContain(image);
  });
});

describe('one disk', () => {
  it('is written through its socket into its image, and leaves nothing but that', async () => {
    const host = newHost();
    const disk = newImage('disk.qcow2');
    const { uri } = disk;
    await host.call('Datapath.open', { uri, persistent: true });
    const before = await host.call('Datapath.attach', { uri, domain: '5' });
    await host.call('Datapath.activate', { uri, domain: '5' });
    expect(await host.call('Datapath.attach', { uri, domain: '5' })).toEqual(before);
    // smapiv3: exactly four fields.
    expect((await host.socket(uri)).split(':')).toHaveLength(4);
    expect(await io(host, uri, 'length')).toContain('64 MiB');
    // Not flushed: deactivate has to.
    expect(await io(host, uri, 'write -P 7 1M 64k')).toContain('wrote 65536/65536');
    const [key] = readdirSync(join(host.run, 'disk'));
    expect(statSync(join(host.run, 'disk', key as string)).mode & 0o777).toBe(0o700);

    await host.call('Datapath.deactivate', { uri, domain: '5' });
    expect(diskProcesses(folder.path)).toEqual([]);
    expect(imageReads(disk, 'read -P 7 1M 64k')).toBe(true);
    execFileSync('qemu-img', ['check', '-q', '-f', 'qcow2', disk.image]);
    await host.call('Datapath.detach', { uri, domain: '5' });
    await host.call('Datapath.close', { uri });
    expect(readdirSync(join(host.run, 'datapath'))).toEqual([]);
    expect(readdirSync(join(host.run, 'disk'))).toEqual([]);
  });

  it('keeps its data and process over repeated calls in any order', async () => {
    const host = newHost();
    const { uri } = newImage('disk.qcow2');
    await host.call('Datapath.deactivate', { uri, domain: '5' });
    await host.call('Datapath.detach', { uri, domain: '5' });
    await host.call('Datapath.activate', { uri, domain: '5' });
    const [pid] = diskProcesses(folder.path);
    await io(host, uri, 'write -P 8 0 4k');
    await host.call('Datapath.activate', { uri, domain: '5' });
    expect(diskProcesses(folder.path)).toEqual([pid]);
    await host.call('Datapath.detach', { uri, domain: '5' });
    await host.call('Datapath.deactivate', { uri, domain: '5' });
    await host.call('Datapath.activate', { uri, domain: '5' });
    expect(await io(host, uri, 'read -P 8 0 4k')).not.toContain('failed');
    await host.call('Datapath.detach', { uri, domain: '5' });
  });

  it('may have any name', async () => {
    const host = newHost();
    mkdirSync(join(folder.path, 'é, "=%\\'));
    const { image } = newImage('é, "=%\\/{a},b=c.qcow2');
    const uri = `qcow2+file://${image.split('/').map(encodeURIComponent).join('/')}`;
    await host.call('Datapath.activate', { uri, domain: '5' });
    expect(await io(host, uri, 'length')).toContain('64 MiB');
    await host.call('Datapath.detach', { uri, domain: '5' });
  });

  it('gives room back for discards and for zeros', async () => {
    const host = newHost();
    const { image, uri } = newImage('disk.qcow2');
    await host.call('Datapath.activate', { uri, domain: '5' });
    await io(host, uri, 'write -P 1 0 16M', 'flush');
    const full = statSync(image).blocks * 512;
    await io(host, uri, 'discard 0 4M', 'write -P 0 8M 4M', 'flush');
    expect(full - statSync(image).blocks * 512).toBeGreaterThanOrEqual(8 << 20);
    expect(await io(host, uri, 'read -P 0 0 4M', 'read -P 1 4M 4M', 'read -P 0 8M 4M')).not.toContain(
      'failed',
    );
    await host.call('Datapath.detach', { uri, domain: '5' });
  });

  it('has the whole chain of its images, of both formats, and writes only to the first', async () => {
    const host = newHost();
    const root = join(folder.path, 'root.raw');
    writeFileSync(root, Buffer.alloc(1 << 20, 1));
    truncateSync(root, 64 << 20);
    chmodSync(root, 0o400);
    const middle = newImage('middle.qcow2', 'root.raw', 'raw');
    execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'write -P 2 64k 64k', middle.image]);
    freeze(middle);
    const { uri } = newImage('leaf.qcow2', 'middle.qcow2');
    const untouched = [root, middle.image].map((file) => readFileSync(file));
    await host.call('Datapath.activate', { uri, domain: '5' });
    await io(host, uri, 'write -P 3 128k 64k');
    const read = await io(
      host,
      uri,
      'read -P 1 0 64k',
      'read -P 2 64k 64k',
      'read -P 3 128k 64k',
      'read -P 1 192k 832k',
    );
    expect(read).not.toContain('failed');
    await host.call('Datapath.detach', { uri, domain: '5' });
    for (const [index, file] of [root, middle.image].entries()) {
      expect(readFileSync(file).equals(untouched[index] as Buffer)).toBe(true);
    }
  });
});

describe('the locks', () => {
  it('outlive the activating process, keep others off the whole chain, and end with deactivate', async () => {
    const [host, other] = [newHost('host'), newHost('other')];
    const base = newImage('base.qcow2');
    freeze(base);
    const disk = newImage('disk.qcow2', 'base.qcow2');
    const sibling = newImage('sibling.qcow2', 'base.qcow2');
    const { uri } = disk;
    await host.call('Datapath.activate', { uri, domain: '5' });
    expect([isFree(disk.image), isFree(base.image)]).toEqual([false, false]);
    expect((await other.failure('Datapath.activate', { uri, domain: '5' })).params[0]).toBe('VolumeInUse');
    expect((await other.failure('Datapath.activate_readonly', { uri, domain: '5' })).params[0]).toBe(
      'VolumeInUse',
    );
    // What both build on is shared.
    await other.call('Datapath.activate', { uri: sibling.uri, domain: '6' });
    // A host that has nothing active takes nothing from one that has.
    await other.call('Datapath.deactivate', { uri, domain: '5' });
    expect(isFree(disk.image)).toBe(false);

    await host.call('Datapath.deactivate', { uri, domain: '5' });
    expect([isFree(disk.image), isFree(base.image)]).toEqual([true, false]);
    await other.call('Datapath.detach', { uri: sibling.uri, domain: '6' });
    expect(isFree(base.image)).toBe(true);
  });

  it('are had by any number of readers, never beside a writer', async () => {
    const [host, other] = [newHost('host'), newHost('other')];
    const { uri } = newImage('disk.qcow2');
    await host.call('Datapath.activate_readonly', { uri, domain: '5' });
    await host.call('Datapath.activate_readonly', { uri, domain: '6' });
    await other.call('Datapath.activate_readonly', { uri, domain: '7' });
    expect(await io(other, uri, 'write 0 4k')).toMatch(/read-only|failed/i);
    expect(await io(host, uri, 'read -P 0 0 4k')).not.toContain('failed');
    expect((await host.failure('Datapath.activate', { uri, domain: '5' })).params[0]).toBe('VolumeInUse');
    for (const [on, domain] of [
      [host, '5'],
      [host, '6'],
      [other, '7'],
    ] as const) {
      await on.call('Datapath.detach', { uri, domain });
    }
    await host.call('Datapath.activate', { uri, domain: '5' });
    await host.call('Datapath.detach', { uri, domain: '5' });
  });

  it('refuse to write to a frozen image, which may be read', async () => {
    const host = newHost();
    const disk = newImage('disk.qcow2');
    freeze(disk);
    expect((await host.failure('Datapath.activate', { uri: disk.uri, domain: '5' })).params[0]).toBe(
      'ImageFrozen',
    );
    expect(diskProcesses(folder.path)).toEqual([]);
    await host.call('Datapath.activate_readonly', { uri: disk.uri, domain: '5' });
    await host.call('Datapath.detach', { uri: disk.uri, domain: '5' });
  });

  it('are one for all uses of dom0, until the last has ended', async () => {
    const host = newHost();
    const { image, uri } = newImage('disk.qcow2');
    await host.call('Datapath.activate', { uri, domain: 'u0_a' });
    await host.call('Datapath.activate', { uri, domain: '0' });
    expect(diskProcesses(folder.path)).toHaveLength(1);
    expect((await host.failure('Datapath.activate', { uri, domain: '5' })).params[0]).toBe('VolumeInUse');
    await host.call('Datapath.deactivate', { uri, domain: 'u0_a' });
    expect(isFree(image)).toBe(false);
    expect(await io(host, uri, 'read -P 0 0 4k')).not.toContain('failed');
    await host.call('Datapath.deactivate', { uri, domain: '0' });
    expect(isFree(image)).toBe(true);
  });

  it('of a disk that two hosts want at once are had by one', async () => {
    const hosts = [newHost('a'), newHost('b'), newHost('c')];
    const { uri } = newImage('disk.qcow2');
    const ended = await Promise.all(
      hosts.map((host) => host.start('Datapath.activate', { uri, domain: '5' })),
    );
    expect(ended.filter(({ exitCode }) => exitCode === 0)).toHaveLength(1);
    expect(diskProcesses(folder.path)).toHaveLength(1);
    for (const host of hosts) await host.call('Datapath.detach', { uri, domain: '5' });
  });
});

describe('the process of a disk', () => {
  it('keeps no descriptor of its caller: whoever reads the pipes of a call to their ends has them at once', async () => {
    const host = newHost();
    const { uri } = newImage('disk.qcow2');
    // A further pipe, as a careless caller may leave it open in its child.
    const main = join(import.meta.dirname, '../../datapath/qcow2+file/main.ts');
    const child = spawn(process.execPath, [main, 'Datapath.activate', '--json'], {
      env: { ...process.env, GFS2_SR_RUN_DIR: host.run },
      stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
    });
    const ends = [1, 2, 3].map((fd) => once(child.stdio[fd] as NodeJS.ReadableStream, 'close'));
    for (const fd of [1, 2, 3]) (child.stdio[fd] as NodeJS.ReadableStream).resume();
    child.stdin?.end(formatRequest('Datapath.activate', { uri, domain: '5' }));
    await Promise.all(ends);
    const [pid] = diskProcesses(folder.path);
    expect(pid).toBeDefined();
    // A session of its own, which a signal to the caller's group does not reach.
    // proc(5): behind the name come the state, the parent, the group and the session.
    const [, , , session] = (readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1) ?? '').split(' ');
    expect(session).toBe(String(pid));
    await host.call('Datapath.detach', { uri, domain: '5' });
  });

  it('killed, leaves what was flushed to the next activation, and no lock', async () => {
    const host = newHost();
    const { image, uri } = newImage('disk.qcow2');
    await host.call('Datapath.activate', { uri, domain: '5' });
    await io(host, uri, 'write -P 9 1M 1M', 'flush');
    const [pid] = diskProcesses(folder.path);
    process.kill(pid as number, 'SIGKILL');
    while (!isFree(image)) await sleep(5);
    // Also for another domain: the guest it was for has lost it.
    await host.call('Datapath.activate', { uri, domain: '6' });
    expect(await io(host, uri, 'read -P 9 1M 1M')).not.toContain('failed');
    await host.call('Datapath.detach', { uri, domain: '6' });
    execFileSync('qemu-img', ['check', '-q', '-f', 'qcow2', image]);
  });

  it('killed, is nothing that deactivate and detach stumble over', async () => {
    const host = newHost();
    const { uri } = newImage('disk.qcow2');
    for (const call of ['Datapath.deactivate', 'Datapath.detach'] as const) {
      await host.call('Datapath.activate', { uri, domain: '5' });
      for (const pid of diskProcesses(folder.path)) process.kill(pid, 'SIGKILL');
      await host.call(call, { uri, domain: '5' });
      expect(readdirSync(join(host.run, 'datapath'))).toEqual([]);
      expect(readdirSync(join(host.run, 'disk'))).toEqual([]);
    }
  });

  it('whose storage hangs is refused by deactivate, does not hold up detach, and ends when it can', async () => {
    const host = newHost();
    mkdirSync(join(folder.path, 'storage'));
    const storage = mountSmallStorage(join(folder.path, 'ext4'), join(folder.path, 'storage'));
    folder.undo.push(storage.unmount);
    const { image, uri } = newImage('storage/disk.qcow2');
    await host.call('Datapath.activate', { uri, domain: '5' });
    const freeze = (how: '--freeze' | '--unfreeze') =>
      execFileSync('fsfreeze', [how, join(folder.path, 'storage')]);
    freeze('--freeze');
    let isFrozen = true;
    folder.undo.push(() => isFrozen && freeze('--unfreeze'));
    const writer = startWriter(await host.socket(uri), 9, 1);
    const environment = { GFS2_SR_DEADLINE_MS: '1500' };
    const refused = await host.failure('Datapath.deactivate', { uri, domain: '5' }, { environment });
    expect(refused.params[0]).toBe('CallTimeout');
    await host.call('Datapath.detach', { uri, domain: '5' });
    expect(isFree(image)).toBe(false);
    freeze('--unfreeze');
    isFrozen = false;
    while (!isFree(image)) await sleep(5);
    await writer.written;
    await host.call('Datapath.activate', { uri, domain: '6' });
    await host.call('Datapath.detach', { uri, domain: '6' });
  });

  it('whose records and sockets were removed is refused in words, and let go by deactivate', async () => {
    const host = newHost();
    const { image, uri } = newImage('disk.qcow2');
    await host.call('Datapath.activate', { uri, domain: '5' });
    const [pid] = diskProcesses(folder.path);
    rmSync(host.run, { recursive: true });
    const refused = await host.failure('Datapath.activate', { uri, domain: '5' });
    expect(refused.params).toEqual(['VolumeInUse', expect.stringContaining(`is active in process ${pid}`)]);
    await host.call('Datapath.deactivate', { uri, domain: '5' });
    expect(isFree(image)).toBe(true);
  });

  it('that only reads, and whose record is lost, is not joined by a second one', async () => {
    const host = newHost();
    const { image, uri } = newImage('disk.qcow2');
    await host.call('Datapath.activate_readonly', { uri, domain: '5' });
    rmSync(join(host.run, 'datapath'), { recursive: true });
    const refused = await host.failure('Datapath.activate_readonly', { uri, domain: '6' });
    expect(refused.params[0]).toBe('VolumeInUse');
    expect(diskProcesses(folder.path)).toHaveLength(1);
    await host.call('Datapath.detach', { uri, domain: '5' });
    expect(isFree(image)).toBe(true);
  });
});

describe('a call that is killed', () => {
  const steps = [
    'activate.locked',
    'activate.image-locked',
    'activate.intended',
    'activate.started',
    'activate.moved',
    'activate.served',
    'activate.recorded',
  ];
  for (const step of steps) {
    for (const next of ['activate', 'deactivate and detach'] as const) {
      it(`after ${step}: ${next} goes on from there`, async () => {
        const host = newHost();
        const { image, uri } = newImage('disk.qcow2');
        const environment = { GFS2_SR_FAULT: step };
        const killed = await host.start('Datapath.activate', { uri, domain: '5' }, { environment });
        expect(killed.signal).toBe('SIGKILL');
        if (next === 'activate') {
          await host.call('Datapath.activate', { uri, domain: '5' });
          expect(await io(host, uri, 'write -P 5 0 4k', 'flush', 'read -P 5 0 4k')).not.toContain('failed');
          expect(diskProcesses(folder.path)).toHaveLength(1);
        }
        await host.call('Datapath.deactivate', { uri, domain: '5' });
        await host.call('Datapath.detach', { uri, domain: '5' });
        expect(diskProcesses(folder.path)).toEqual([]);
        expect(isFree(image)).toBe(true);
        expect(readdirSync(join(host.run, 'datapath'))).toEqual([]);
      });
    }
  }

  for (const step of ['deactivate.disconnected', 'deactivate.ending', 'deactivate.unbound']) {
    it(`after ${step}: a repeat ends it, and every written byte is there`, async () => {
      const host = newHost();
      const disk = newImage('disk.qcow2');
      const { uri } = disk;
      await host.call('Datapath.activate', { uri, domain: '5' });
      await io(host, uri, 'write -P 6 0 1M');
      const environment = { GFS2_SR_FAULT: step };
      expect((await host.start('Datapath.deactivate', { uri, domain: '5' }, { environment })).signal).toBe(
        'SIGKILL',
      );
      await host.call('Datapath.deactivate', { uri, domain: '5' });
      expect(isFree(disk.image)).toBe(true);
      expect(imageReads(disk, 'read -P 6 0 1M')).toBe(true);
    });
  }
});

describe('what cannot be served', () => {
  /** Writes bytes into an image's header. */
  function patch({ image }: TestImage, offset: number, bytes: Buffer): void {
    const fd = openSync(image, 'r+');
    writeSync(fd, bytes, 0, bytes.length, offset);
    closeSync(fd);
  }

  async function refusal(uri: string): Promise<readonly string[]> {
    const { params } = await newHost().failure('Datapath.activate', { uri, domain: '5' });
    expect(diskProcesses(folder.path)).toEqual([]);
    return params;
  }

  it('is refused in words: a sharable disk, a missing image, one that is no qcow2', async () => {
    const { uri } = newImage('disk.qcow2');
    expect((await refusal(`${uri}?sharable=true`))[0]).toBe('BadUri');
    expect((await refusal(`${uri}.missing`))[0]).toBe('ImageMissing');
    writeFileSync(join(folder.path, 'raw'), Buffer.alloc(1 << 20));
    expect((await refusal(`qcow2+file://${folder.path}/raw`))[0]).toBe('ImageDamaged');
    const failure = await newHost().failure('Datapath.open', { uri, persistent: false });
    expect(failure.params[0]).toBe('NonPersistentUnsupported');
  });

  it('is never looked for elsewhere: parents outside the folder, without a format, and rings', async () => {
    const secret = join(folder.path, 'elsewhere', 'secret.raw');
    mkdirSync(join(folder.path, 'elsewhere'));
    writeFileSync(secret, Buffer.alloc(1 << 20, 3));
    for (const name of [secret, 'elsewhere/secret.raw', '../x', 'nbd:unix:/s', 'json:{"driver":"raw"}']) {
      const { uri } = newImage(`bad-${Buffer.from(name).toString('hex')}.qcow2`, name, 'raw');
      expect(await refusal(uri)).toEqual(['ImageDamaged', expect.stringContaining('no file beside it')]);
    }
    newImage('parent.qcow2');
    const vmdk = newImage('vmdk.qcow2', 'parent.qcow2', 'vmdk');
    expect((await refusal(vmdk.uri))[0]).toBe('ImageDamaged');
    const a = newImage('a.qcow2', 'b.qcow2');
    newImage('b.qcow2', 'a.qcow2');
    expect((await refusal(a.uri))[0]).toMatch(/VolumeInUse|ImageDamaged/);
    const self = newImage('self.qcow2', 'self.qcow2');
    expect((await refusal(self.uri))[0]).toMatch(/VolumeInUse|ImageDamaged/);
    const ring = await newHost().failure('Datapath.activate_readonly', { uri: a.uri, domain: '5' });
    expect(ring.params).toEqual(['ImageDamaged', expect.stringContaining('builds on itself')]);
  });

  it('is refused: encrypted images, data in other files, and images marked corrupt', async () => {
    const encrypted = newImage('encrypted.qcow2');
    patch(encrypted, 32, Buffer.from([0, 0, 0, 1]));
    expect((await refusal(encrypted.uri))[0]).toBe('ImageDamaged');
    for (const feature of [1 << 1, 1 << 2]) {
      const disk = newImage(`feature-${feature}.qcow2`);
      patch(disk, 79, Buffer.from([feature | (1 << 4)]));
      expect((await refusal(disk.uri))[0]).toBe('ImageDamaged');
    }
  });

  it('is not what a guest writes: headers in a disk, and in a raw parent, are its data', async () => {
    const host = newHost();
    const crafted = readFileSync(newImage('crafted.qcow2', '/etc/passwd', 'raw').image).subarray(0, 65_536);
    const file = join(folder.path, 'header');
    writeFileSync(file, crafted);
    const root = join(folder.path, 'root.raw');
    writeFileSync(root, crafted);
    truncateSync(root, 64 << 20);
    chmodSync(root, 0o400);
    const { uri } = newImage('disk.qcow2', 'root.raw', 'raw');
    await host.call('Datapath.activate', { uri, domain: '5' });
    expect(await io(host, uri, `write -s ${file} 1M 64k`, 'flush')).not.toContain('failed');
    await host.call('Datapath.deactivate', { uri, domain: '5' });
    await host.call('Datapath.activate', { uri, domain: '5' });
    const copy = join(folder.path, 'copy.raw');
    execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'raw', await host.socket(uri), copy]);
    await host.call('Datapath.detach', { uri, domain: '5' });
    const bytes = readFileSync(copy);
    expect(bytes.subarray(0, 65_536).equals(crafted)).toBe(true);
    expect(bytes.subarray(1 << 20, (1 << 20) + 65_536).equals(crafted)).toBe(true);
  });

  it('where a parent is missing, is named', async () => {
    const { uri } = newImage('disk.qcow2', 'gone.qcow2');
    expect(await refusal(uri)).toEqual(['ImageMissing', expect.stringContaining('gone.qcow2')]);
  });

  it('says what QEMU says, and leaves no process', async () => {
    const disk = newImage('disk.qcow2');
    // Its table of tables is empty.
    patch(disk, 36, Buffer.alloc(4));
    expect(await refusal(disk.uri)).toEqual(['DiskFailed', expect.stringContaining('L1')]);
    expect(isFree(disk.image)).toBe(true);
  });
});

describe('filesystems', () => {
  it('without direct I/O serve disks too', async () => {
    const mount = join(folder.path, 'memory');
    mkdirSync(mount);
    execFileSync('mount', ['-t', 'tmpfs', 'none', mount]);
    folder.undo.push(() => execFileSync('umount', ['--lazy', mount]));
    const host = newHost();
    const { image, uri } = newImage('memory/disk.qcow2');
    await host.call('Datapath.activate', { uri, domain: '5' });
    await io(host, uri, 'write -P 4 0 1M');
    await host.call('Datapath.detach', { uri, domain: '5' });
    expect(imageReads({ image, uri }, 'read -P 4 0 1M')).toBe(true);
  });
});

it('many disks are activated at once, each in a process of its own', async () => {
  const host = newHost();
  const disks = Array.from({ length: 12 }, (_, index) => newImage(`disk-${index}.qcow2`));
  await Promise.all(disks.map(({ uri }) => host.call('Datapath.activate', { uri, domain: '5' })));
  expect(diskProcesses(folder.path)).toHaveLength(disks.length);
  await Promise.all(disks.map(({ uri }) => host.call('Datapath.detach', { uri, domain: '5' })));
  expect(existsSync(join(host.run, 'disk')) && readdirSync(join(host.run, 'disk'))).toEqual([]);
});
