/** Disks that are written while their storage gets full: they wait, and no guest sees an error. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, vi } from 'vitest';
import { mountSmallStorage, type SmallStorage } from '../support/small-storage.ts';
import { hasBlktap, needsBlktap } from '../support/vhd.ts';
import { hasWritten, startWriter, type Writer } from '../support/writer.ts';
import { Host, isFree, useFolder } from './host.ts';

const folder = useFolder();
const patience = { timeout: 45_000, interval: 100 };

/** Disks of one format, on storage of their own. */
interface Disks {
  readonly host: Host;
  readonly storage: SmallStorage;
  /** Makes an image, and has its disk run; answers its URI. */
  run(name: string): Promise<string>;
}

function disksOf(format: string, name = 'storage', host = newHost(format)): Disks {
  const point = join(folder.path, name);
  mkdirSync(point);
  const storage = mountSmallStorage(`${point}.ext4`, point);
  folder.undo.push(storage.unmount);
  return {
    host,
    storage,
    async run(name) {
      const image = join(point, name);
      if (format === 'vhd') execFileSync('vhd-util', ['create', '-n', image, '-s', '512']);
      else execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', image, '512M']);
      const uri = `${format}+file://${image}`;
      await host.call('Datapath.activate', { uri, domain: '5' });
      folder.undo.push(() =>
        // Also where the test fails half-way.
        execFileSync(
          process.execPath,
          [
            join(import.meta.dirname, `../../datapath/${format}+file/main.ts`),
            'Datapath.detach',
            'test',
            uri,
            '5',
          ],
          { env: { ...process.env, GFS2_SR_RUN_DIR: host.run } },
        ),
      );
      return uri;
    },
  };
}

function newHost(format: string): Host {
  return new Host(join(folder.path, 'host'), `${format}+file`);
}

/** The disks that diagnostics show as paused, by their images' names. */
async function pausedOf(host: Host): Promise<readonly string[]> {
  const said = await host.call('Plugin.diagnostics', {});
  return [...said.matchAll(/\/([^/\n]+): paused/g)].map(([, name]) => name ?? '').sort();
}

/** Has a guest write more than there is room for, and waits until its disk is paused. */
async function fillUp({ host }: Disks, uri: string, name: string): Promise<Writer> {
  const writer = startWriter(await host.socket(uri), 7, 256);
  await vi.waitFor(async () => expect(await pausedOf(host)).toContain(name), patience);
  expect(writer.isWaiting()).toBe(true);
  return writer;
}

async function expectAllWritten({ host }: Disks, uri: string, writer: Writer): Promise<void> {
  expect(await writer.written).toEqual({ exitCode: 0, said: expect.not.stringMatching(/fail|error/i) });
  expect(hasWritten(await host.socket(uri), 7, 256)).toBe(true);
}

/** The process that watches the room of a host's disks. */
function watcherOf(host: Host): number {
  return Number(readFileSync(join(host.run, 'room/watcher'), 'utf8'));
}

/** The one that starts it again. */
function supervisorOf(watcher: number): number {
  return Number(/^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${watcher}/status`, 'utf8'))?.[1]);
}

async function isGone(pid: number): Promise<void> {
  while (existsSync(`/proc/${pid}`)) await sleep(5);
}

describe.each(['qcow2', 'vhd'])('in %s', (format) => {
  const skipped = format === 'vhd' && !hasBlktap;
  const note = format === 'vhd' ? needsBlktap : '';

  it.skipIf(skipped)(`a disk waits for room, and goes on with all its data${note}`, async () => {
    const disks = disksOf(format);
    disks.storage.leave(220);
    const uri = await disks.run('disk');
    const writer = await fillUp(disks, uri, 'disk');
    // It is no obstacle to those who come again.
    await disks.host.call('Datapath.activate', { uri, domain: '5' });
    expect(await pausedOf(disks.host)).toEqual(['disk']);
    disks.storage.makeRoom();
    await expectAllWritten(disks, uri, writer);
    expect(await pausedOf(disks.host)).toEqual([]);
  });

  it.skipIf(skipped)(`a disk is let go while it waits, and others still wait${note}`, async () => {
    const disks = disksOf(format);
    disks.storage.leave(220);
    const [one, two] = [await disks.run('one'), await disks.run('two')];
    const writer = await fillUp(disks, one, 'one');
    await vi.waitFor(async () => expect(await pausedOf(disks.host)).toEqual(['one', 'two']), patience);
    await writer.kill();
    await disks.host.call('Datapath.deactivate', { uri: one, domain: '5' });
    const image = one.replace(/^[^/]*\/\//, '');
    expect(isFree(image)).toBe(true);
    if (format === 'vhd') execFileSync('vhd-util', ['check', '-n', image]);
    else execFileSync('qemu-img', ['check', '-q', '-f', 'qcow2', image]);
    expect(await pausedOf(disks.host)).toEqual(['two']);
    await disks.host.call('Datapath.detach', { uri: two, domain: '5' });
    expect(await pausedOf(disks.host)).toEqual([]);
  });
});

describe('the watcher', () => {
  it.each(['it', 'what starts it again, too'])('when %s is killed, has a successor', async (what) => {
    const disks = disksOf('qcow2');
    disks.storage.leave(220);
    const uri = await disks.run('disk');
    const writer = await fillUp(disks, uri, 'disk');
    const watcher = watcherOf(disks.host);
    const supervisor = supervisorOf(watcher);
    if (what !== 'it') process.kill(supervisor, 'SIGKILL');
    process.kill(watcher, 'SIGKILL');
    await isGone(watcher);
    disks.storage.makeRoom();
    if (what !== 'it') {
      await isGone(supervisor);
      expect(await pausedOf(disks.host)).toEqual(['disk']);
      expect(await disks.host.call('Plugin.diagnostics', {})).toContain('not watched');
      await disks.host.call('Datapath.activate', { uri, domain: '5' });
    }
    await expectAllWritten(disks, uri, writer);
  });

  it('pauses the disks of the filesystem that is full, and no others', async () => {
    const full = disksOf('qcow2');
    const free = disksOf('qcow2', 'other', full.host);
    full.storage.leave(220);
    const [paused, running] = [await full.run('paused'), await free.run('running')];
    const waiting = await fillUp(full, paused, 'paused');
    const writer = startWriter(await free.host.socket(running), 7, 256);
    await expectAllWritten(free, running, writer);
    expect(await pausedOf(full.host)).toEqual(['paused']);
    full.storage.makeRoom();
    await expectAllWritten(full, paused, waiting);
  });

  it('sees to others while one filesystem hangs', async () => {
    const full = disksOf('qcow2');
    const hanging = disksOf('qcow2', 'hanging', full.host);
    await hanging.run('hanging');
    full.storage.leave(220);
    const uri = await full.run('disk');
    const point = join(folder.path, 'hanging');
    const server = spawn('python3', [join(import.meta.dirname, '../sr/fake-filesystem.py'), point]);
    await once(server.stdout, 'data');
    server.kill('SIGSTOP');
    try {
      const writer = await fillUp(full, uri, 'disk');
      full.storage.makeRoom();
      await expectAllWritten(full, uri, writer);
    } finally {
      server.kill('SIGKILL');
      await once(server, 'exit');
      execFileSync('umount', [point]);
    }
  });

  it('lives as long as a disk is written, and no longer', async () => {
    const host = newHost('qcow2');
    const image = join(folder.path, 'disk');
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', image, '64M']);
    const uri = `qcow2+file://${image}`;
    await host.call('Datapath.activate_readonly', { uri, domain: '5' });
    expect(await host.call('Plugin.diagnostics', {})).toContain('not watched');
    await host.call('Datapath.detach', { uri, domain: '5' });
    await host.call('Datapath.activate', { uri, domain: '5' });
    const watcher = watcherOf(host);
    await host.call('Datapath.activate', { uri, domain: '5' });
    expect(watcherOf(host)).toBe(watcher);
    await host.call('Datapath.detach', { uri, domain: '5' });
    await isGone(watcher);
    await host.call('Datapath.activate', { uri, domain: '5' });
    expect(await host.call('Plugin.diagnostics', {})).toContain('storage: watched');
    // Someone emptied /run: the disk is still seen to, and let go by its process.
    const successor = watcherOf(host);
    rmSync(host.run, { recursive: true });
    await host.call('Datapath.detach', { uri, domain: '5' });
    await isGone(successor);
  });
});
