/** vhd+file, with the real tapdisk. */
import { execFileSync, spawnSync } from 'node:child_process';
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
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { pauseTapdisk, unpauseTapdisk } from '../../datapath/tapdisk/process.ts';
import { hasBlktap, listTapdisks, needsBlktap, readVhd } from '../support/vhd.ts';
import { Host, isFree, useFolder } from './host.ts';

const control = '/run/blktap-control';
const folder = useFolder();

function newHost(name = 'host'): Host {
  return new Host(join(folder.path, name), 'vhd+file');
}

/** Makes an image of 64 MiB, on a parent if one is named, as the volume plugin does. */
function newImage(name: string, parent?: string): { readonly image: string; readonly uri: string } {
  const image = join(folder.path, name);
  if (parent === undefined) execFileSync('vhd-util', ['create', '-n', image, '-s', '64']);
  else execFileSync('vhd-util', ['snapshot', '-e', '-n', image, '-p', join(folder.path, parent)]);
  return { image, uri: `vhd+file://${image}` };
}

/** The tapdisks of this test's images. */
function tapdisks(): readonly { readonly pid: number; readonly minor: number }[] {
  return listTapdisks()
    .filter(({ path }) => path.startsWith(`${folder.path}/`))
    .map(({ name }) => ({ pid: Number(name.split('.')[0]), minor: Number(name.split('.')[1]) }));
}

/** All that tapdisks have on this machine but their processes, and had not before the test. */
function traces(): readonly string[] {
  return listTraces().filter((name) => !before.includes(name));
}

let before: readonly string[] = [];
beforeEach(() => {
  before = listTraces();
});

function listTraces(): readonly string[] {
  const list = (path: string): readonly string[] => (existsSync(path) ? readdirSync(path) : []);
  return [
    ...list(control).filter((name) => name !== 'tapdisk'),
    ...list(join(control, 'tapdisk')),
    ...list('/dev/shm').filter((name) => name.startsWith('td3-')),
    ...list('/dev/shm/metrics'),
  ];
}

/** Runs commands of qemu-io on a disk, through its socket; answers what it says. */
async function io(host: Host, uri: string, ...commands: readonly string[]): Promise<string> {
  const args = commands.flatMap((command) => ['-c', command]);
  const reading = commands.every((command) => command.startsWith('read')) ? ['-r'] : [];
  const ended = spawnSync('qemu-io', ['-f', 'raw', ...reading, ...args, await host.socket(uri)], {
    encoding: 'utf8',
  });
  const said = `${ended.stdout}${ended.stderr}`;
  return ended.status === 0 && !said.includes('verification failed') ? said : `${said}\nfailed`;
}

afterEach(() => {
  if (!hasBlktap) return;
  const left = tapdisks();
  for (const { pid } of left) process.kill(pid, 'SIGKILL');
  expect(left).toEqual([]);
});

describe('where tapdisk is not installed', () => {
  it('every call that needs it says what to install, and others work', async () => {
    const host = newHost();
    const uri = `vhd+file://${join(folder.path, 'disk.vhd')}`;
    // No folder of tools of this machine's own; a host that has it in /usr cannot show this.
    if (existsSync('/usr/sbin/tap-ctl') || existsSync('/usr/bin/tap-ctl')) return;
    const options = { environment: { PATH: '/usr/bin:/bin' } };
    const refused = [
      await host.failure('Datapath.open', { uri, persistent: true }, options),
      await host.failure('Datapath.attach', { uri, domain: '1' }, options),
    ];
    expect(refused.map(({ params }) => params)).toEqual(
      Array(2).fill(['ToolMissing', expect.stringMatching(/tap-ctl is not installed.*install blktap/)]),
    );
    const { description, features } = await host.call('Plugin.query', {}, options);
    expect([description, features]).toEqual([expect.stringContaining('has no tap-ctl'), []]);
    await host.call('Datapath.deactivate', { uri, domain: '1' }, options);
    await host.call('Datapath.detach', { uri, domain: '1' }, options);
  });
});

describe.skipIf(!hasBlktap)(`one disk${needsBlktap}`, () => {
  it('is written through its socket into its image, and leaves nothing but that', async () => {
    const host = newHost();
    const { image, uri } = newImage('disk.vhd');
    await host.call('Datapath.open', { uri, persistent: true });
    const before = await host.call('Datapath.attach', { uri, domain: '5' });
    await host.call('Datapath.activate', { uri, domain: '5' });
    expect(await host.call('Datapath.attach', { uri, domain: '5' })).toEqual(before);
    // smapiv3: exactly four fields.
    expect((await host.socket(uri)).split(':')).toHaveLength(4);
    expect(await io(host, uri, 'length')).toContain('64 MiB');
    expect(await io(host, uri, 'write -P 7 3M 64k')).toContain('wrote 65536/65536');
    expect(await host.call('Plugin.diagnostics', {})).toMatch(
      new RegExp(`${image}: process [0-9]+, minor [0-9]+, 1 image\\(s\\), .*read-write, 1 domain`),
    );
    await host.call('Datapath.deactivate', { uri, domain: '5' });
    expect(isFree(image)).toBe(true);
    expect(readVhd(image).subarray(3 << 20, (3 << 20) + 65_536)).toEqual(Buffer.alloc(65_536, 7));
    execFileSync('vhd-util', ['check', '-n', image]);
    await host.call('Datapath.detach', { uri, domain: '5' });
    await host.call('Datapath.close', { uri });
    expect(readdirSync(join(host.run, 'datapath'))).toEqual([]);
    expect(readdirSync(join(host.run, 'disk'))).toEqual([]);
    expect(traces()).toEqual([]);
  });

  it('keeps its data and process over repeated calls in any order', async () => {
    const host = newHost();
    const { uri } = newImage('disk.vhd');
    await host.call('Datapath.deactivate', { uri, domain: '5' });
    await host.call('Datapath.detach', { uri, domain: '5' });
    await host.call('Datapath.activate', { uri, domain: '5' });
    const first = tapdisks();
    await io(host, uri, 'write -P 8 0 4k');
    await host.call('Datapath.activate', { uri, domain: '5' });
    expect(tapdisks()).toEqual(first);
    await host.call('Datapath.detach', { uri, domain: '5' });
    await host.call('Datapath.deactivate', { uri, domain: '5' });
    await host.call('Datapath.activate', { uri, domain: '5' });
    expect(await io(host, uri, 'read -P 8 0 4k')).not.toContain('failed');
    await host.call('Datapath.detach', { uri, domain: '5' });
    expect(traces()).toEqual([]);
  });

  it('has what it builds on locked for as long as its tapdisk lives, and no longer', async () => {
    const host = newHost();
    const base = newImage('base.vhd');
    await host.call('Datapath.activate', { uri: base.uri, domain: '5' });
    await io(host, base.uri, 'write -P 1 0 1M');
    await host.call('Datapath.deactivate', { uri: base.uri, domain: '5' });
    chmodSync(base.image, 0o400);
    const refused = await host.failure('Datapath.activate', { uri: base.uri, domain: '5' });
    expect(refused.params[0]).toBe('ImageFrozen');
    const { image, uri } = newImage('leaf.vhd', 'base.vhd');
    await host.call('Datapath.activate', { uri, domain: '5' });
    expect(await io(host, uri, 'write -P 2 4k 4k', 'read -P 1 0 4k', 'read -P 2 4k 4k')).not.toContain(
      'failed',
    );
    expect([isFree(image), isFree(base.image)]).toEqual([false, false]);
    execFileSync('flock', ['--shared', '--nonblock', base.image, 'true']);
    const other = newHost('other');
    expect((await other.failure('Datapath.activate', { uri, domain: '6' })).params[0]).toBe('VolumeInUse');
    const [{ pid } = { pid: 0 }] = tapdisks();
    process.kill(pid, 'SIGKILL');
    while (existsSync(`/proc/${pid}`)) await sleep(5);
    expect([isFree(image), isFree(base.image)]).toEqual([true, true]);
    // What was acknowledged is there, and what was left of the killed one is not.
    await other.call('Datapath.activate', { uri, domain: '6' });
    expect(await io(other, uri, 'read -P 1 0 4k', 'read -P 2 4k 4k')).not.toContain('failed');
    await other.call('Datapath.detach', { uri, domain: '6' });
    await host.call('Datapath.detach', { uri, domain: '5' });
    expect(traces()).toEqual([]);
  });

  it('is shared by readers of several hosts, and with no writer', async () => {
    const [one, two] = [newHost('one'), newHost('two')];
    const { image, uri } = newImage('disk.vhd');
    await one.call('Datapath.activate_readonly', { uri, domain: '5' });
    await two.call('Datapath.activate_readonly', { uri, domain: '6' });
    expect(tapdisks()).toHaveLength(2);
    expect(await io(one, uri, 'write 0 4k')).toContain('failed');
    expect((await one.failure('Datapath.activate', { uri, domain: '7' })).params[0]).toBe('VolumeInUse');
    await one.call('Datapath.deactivate', { uri, domain: '5' });
    expect(isFree(image)).toBe(false);
    await two.call('Datapath.detach', { uri, domain: '6' });
    expect(isFree(image)).toBe(true);
    expect(traces()).toEqual([]);
  });

  it('is held and goes on by another image, as a live snapshot needs', async () => {
    const host = newHost();
    const base = newImage('base.vhd');
    await host.call('Datapath.activate', { uri: base.uri, domain: '5' });
    await io(host, base.uri, 'write -P 1 0 64k');
    const [name] = tapdisks();
    if (name === undefined) throw new Error('no tapdisk');
    await pauseTapdisk(name);
    const leaf = newImage('leaf.vhd', 'base.vhd');
    const frozen = readFileSync(base.image);
    await unpauseTapdisk(name, leaf.image);
    expect(await io(host, base.uri, 'write -P 2 0 4k', 'read -P 1 4k 4k', 'read -P 2 0 4k')).not.toContain(
      'failed',
    );
    await host.call('Datapath.detach', { uri: base.uri, domain: '5' });
    expect(readFileSync(base.image)).toEqual(frozen);
    expect(readVhd(leaf.image)[0]).toBe(2);
  });

  it.each([
    ['a file elsewhere', '../base.vhd'],
    ['a path through a folder', 'folder/base.vhd'],
  ])('a parent that is %s is not opened', async (_what, parent) => {
    const host = newHost();
    const base = join(folder.path, 'sr', parent);
    mkdirSync(join(folder.path, 'sr/folder'), { recursive: true });
    const image = join(folder.path, 'sr/leaf.vhd');
    execFileSync('vhd-util', ['create', '-n', base, '-s', '64']);
    execFileSync('vhd-util', ['snapshot', '-e', '-n', image, '-p', base]);
    const refused = await host.failure('Datapath.activate', { uri: `vhd+file://${image}`, domain: '5' });
    expect(refused.params[0]).toBe('ImageDamaged');
    expect([isFree(image), traces()]).toEqual([true, []]);
  });

  it('what a guest left at the end of a file is no footer', async () => {
    const host = newHost();
    const { image, uri } = newImage('disk.vhd');
    const evil = newImage('evil.vhd');
    const fd = openSync(image, 'r+');
    const size = statSync(image).size;
    writeSync(fd, readFileSync(evil.image).subarray(0, 512), 0, 512, size);
    closeSync(fd);
    expect((await host.failure('Datapath.activate', { uri, domain: '5' })).params).toEqual([
      'ImageDamaged',
      expect.stringContaining('footer of another VHD'),
    ]);
  });

  it('is refused in words where its path is too long for tapdisk', async () => {
    const host = newHost();
    mkdirSync(join(folder.path, 'x'.repeat(230)));
    const { uri } = newImage(`${'x'.repeat(230)}/disk.vhd`);
    const refused = await host.failure('Datapath.activate', { uri, domain: '5' });
    expect(refused.params).toEqual(['ImageUnusable', expect.stringContaining('too long for tapdisk')]);
    expect(traces()).toEqual([]);
  });
});

describe.skipIf(!hasBlktap)(`killed${needsBlktap}`, () => {
  const activating = ['locked', 'image-locked', 'intended', 'started', 'moved', 'allocated', 'attached'];
  const faults = [...activating, 'opened', 'served', 'recorded'].map((step) => `activate.${step}`);

  it.each(faults)('at %s, activate leaves nothing that the next call does not find', async (fault) => {
    const host = newHost();
    const { image, uri } = newImage('disk.vhd');
    const killed = await host.start(
      'Datapath.activate',
      { uri, domain: '5' },
      { environment: { GFS2_SR_FAULT: fault } },
    );
    expect(killed.signal).toBe('SIGKILL');
    await host.call('Datapath.activate', { uri, domain: '5' });
    expect(await io(host, uri, 'write -P 3 0 4k')).not.toContain('failed');
    expect(tapdisks()).toHaveLength(1);
    await host.call('Datapath.detach', { uri, domain: '5' });
    expect(isFree(image)).toBe(true);
    expect(traces()).toEqual([]);
  });

  it.each(faults)('at %s, detach alone cleans up', async (fault) => {
    const host = newHost();
    const { image, uri } = newImage('disk.vhd');
    await host.start('Datapath.activate', { uri, domain: '5' }, { environment: { GFS2_SR_FAULT: fault } });
    await host.call('Datapath.detach', { uri, domain: '5' });
    expect(isFree(image)).toBe(true);
    expect(traces()).toEqual([]);
    expect(readdirSync(join(host.run, 'datapath'))).toEqual([]);
  });

  it.each(['deactivate.disconnected', 'deactivate.ended', 'deactivate.unbound'])(
    'at %s, deactivate is completed by the next call',
    async (fault) => {
      const host = newHost();
      const { image, uri } = newImage('disk.vhd');
      await host.call('Datapath.activate', { uri, domain: '5' });
      await io(host, uri, 'write -P 4 0 4k');
      await host.start(
        'Datapath.deactivate',
        { uri, domain: '5' },
        { environment: { GFS2_SR_FAULT: fault } },
      );
      await host.call('Datapath.deactivate', { uri, domain: '5' });
      expect([isFree(image), traces()]).toEqual([true, []]);
      expect(readVhd(image)[0]).toBe(4);
    },
  );

  it('with /run emptied, a disk is found by its process, and let go', async () => {
    const host = newHost();
    const { image, uri } = newImage('disk.vhd');
    await host.call('Datapath.activate', { uri, domain: '5' });
    rmSync(host.run, { recursive: true, force: true });
    expect((await host.failure('Datapath.activate', { uri, domain: '5' })).params[0]).toBe('VolumeInUse');
    await host.call('Datapath.detach', { uri, domain: '5' });
    expect([isFree(image), traces()]).toEqual([true, []]);
  });
});
