/** Volumes in qcow2, as xapi has them: made, run, frozen, branched and reverted, with their data compared. */
import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Volume } from '../../src/smapi/interface.ts';
import { collectGarbage, runCollector } from '../gc/collector.ts';
import { checkImageFile, fill } from '../support/disk.ts';
import { pendingTask } from '../support/tasks.ts';
import { imageOf, VolumeHost } from '../support/volume-host.ts';
import { diskProcesses, Host, isFree } from './host.ts';

const MiB = 1 << 20;

let volumes: VolumeHost;
let disks: Host;
let sr: string;
beforeEach(async () => {
  volumes = new VolumeHost();
  disks = new Host(volumes.environment.GFS2_SR_RUN_DIR, 'qcow2+file');
  sr = await volumes.makeSr();
});
afterEach(() => {
  const left = diskProcesses(volumes.folder);
  for (const pid of left) process.kill(pid, 'SIGKILL');
  volumes[Symbol.dispose]();
  expect(left).toEqual([]);
});

function uriOf(volume: Volume): string {
  return volume.uri[0] ?? '';
}

async function current(volume: Volume): Promise<Volume> {
  return await volumes.call('Volume.stat', { sr, key: volume.key });
}

/** Has a volume's disk run for a domain. */
async function activate(volume: Volume, domain: string): Promise<string> {
  const disk = { uri: uriOf(await current(volume)), domain };
  const socket = await disks.socket(disk.uri);
  await disks.call(volume.read_write ? 'Datapath.activate' : 'Datapath.activate_readonly', disk);
  return socket;
}

async function deactivate(volume: Volume, domain: string): Promise<void> {
  const disk = { uri: uriOf(await current(volume)), domain };
  await disks.call('Datapath.deactivate', disk);
  await disks.call('Datapath.detach', disk);
}

function write(disk: string, byte: number, offset: number): void {
  execFileSync('qemu-io', ['-f', 'raw', '-c', `write -P ${byte} ${offset} 64k`, disk]);
}

/** The bytes at the starts of the first four mebibytes of a running disk, all of whose 64 KiB are alike. */
function content(disk: string): readonly number[] {
  return [0, 1, 2, 3].map((index) => {
    const dump = execFileSync('qemu-io', ['-r', '-f', 'raw', '-c', `read -v ${index * MiB} 64k`, disk], {
      encoding: 'utf8',
      maxBuffer: 16 * MiB,
    });
    const bytes = new Set(
      dump
        .split('\n')
        .flatMap((line) => /^[0-9a-f]+: {2}((?:[0-9a-f]{2} )+)/.exec(line)?.[1]?.trim().split(' ') ?? []),
    );
    if (bytes.size !== 1) throw new Error(`not of one byte: ${[...bytes].join(' ')}`);
    return Number.parseInt([...bytes][0] as string, 16);
  });
}

async function refusal(call: Promise<unknown>): Promise<string> {
  return await call.then(
    () => 'nothing',
    (error: { code: string; params: readonly string[] }) => error.params[0] ?? error.code,
  );
}

it('each volume of a tree has its data, also while they all run', async () => {
  const volume = await volumes.makeVolume(BigInt(8 * MiB));
  expect(uriOf(volume)).toMatch(/^qcow2\+file:/);
  write(await activate(volume, '1'), 1, 0);
  await deactivate(volume, '1');
  const snapshot = await volumes.call('Volume.snapshot', { sr, key: volume.key });
  // The image that the volume had: whoever comes with its URI does not write to it.
  expect(uriOf(snapshot)).toBe(uriOf(volume));
  expect(await refusal(disks.call('Datapath.activate', { uri: uriOf(volume), domain: '1' }))).toBe(
    'ImageFrozen',
  );

  const running = await activate(volume, '1');
  write(running, 2, MiB);
  // What can be done to a tree while a disk of it runs, and what not.
  const clone = await volumes.call('Volume.clone', { sr, key: snapshot.key });
  const { key } = volume;
  const refused = [
    () => volumes.call('Volume.revert', { sr, snapshot: snapshot.key, key }),
    () => volumes.call('Volume.destroy', { sr, key }),
    () => volumes.call('SR.detach', { sr }),
    () => volumes.call('SR.destroy', { sr }),
  ];
  for (const call of refused) expect(await refusal(call())).toBe('VolumeInUse');

  const [ofSnapshot, ofClone] = [await activate(snapshot, '2'), await activate(clone, '3')];
  write(ofClone, 3, 2 * MiB);
  expect(content(running)).toEqual([1, 2, 0, 0]);
  expect(content(ofSnapshot)).toEqual([1, 0, 0, 0]);
  expect(content(ofClone)).toEqual([1, 0, 3, 0]);
  await deactivate(snapshot, '2');
  await deactivate(clone, '3');
  await deactivate(volume, '1');

  await volumes.call('Volume.revert', { sr, snapshot: snapshot.key, key: volume.key });
  const reverted = await activate(volume, '1');
  expect(content(reverted)).toEqual([1, 0, 0, 0]);
  write(reverted, 4, 3 * MiB);
  await deactivate(volume, '1');
  await volumes.call('Volume.destroy', { sr, key: snapshot.key });
  expect(content(await activate(volume, '1'))).toEqual([1, 0, 0, 4]);
  expect(content(await activate(clone, '3'))).toEqual([1, 0, 3, 0]);
  await deactivate(volume, '1');
  await deactivate(clone, '3');
  for (const each of [volume, clone]) checkImageFile(imageOf(await current(each)));
  for (const key of [volume.key, clone.key]) await volumes.call('Volume.destroy', { sr, key });
  expect(volumes.images()).toEqual([]);
});

it('a grown volume has its new size when it runs again', async () => {
  const volume = await volumes.makeVolume(BigInt(8 * MiB));
  await activate(volume, '1');
  await deactivate(volume, '1');
  await volumes.call('Volume.resize', { sr, key: volume.key, new_size: BigInt(12 * MiB + 512) });
  const args = ['info', '-f', 'raw', '--output=json', await activate(volume, '1')];
  const info = execFileSync('qemu-img', args, { encoding: 'utf8' });
  expect(JSON.parse(info)['virtual-size']).toBe(12 * MiB + 512);
  await deactivate(volume, '1');
});

it('a sharable volume is raw, as HA has its statefile', async () => {
  expect(uriOf(await volumes.makeVolume(BigInt(MiB), true))).toMatch(/^raw\+file:.*\?sharable=true$/);
});

it('an SR of raw images has qcow2 disks for what builds on others', async () => {
  using raw = new VolumeHost();
  const uuid = await raw.makeSr({ 'image-format': 'raw' });
  const volume = await raw.makeVolume(BigInt(8 * MiB));
  execFileSync('qemu-io', ['-f', 'raw', '-c', 'write -P 5 0 64k', imageOf(volume)]);
  await raw.call('Volume.snapshot', { sr: uuid, key: volume.key });
  const { uri } = await raw.call('Volume.stat', { sr: uuid, key: volume.key });
  const host = new Host(raw.environment.GFS2_SR_RUN_DIR, 'qcow2+file');
  const disk = { uri: uri[0] ?? '', domain: '1' };
  await host.call('Datapath.activate', disk);
  expect(content(await host.socket(disk.uri))).toEqual([5, 0, 0, 0]);
  await host.call('Datapath.detach', disk);
});

it('a running disk is seen without touching its SR', async () => {
  const volume = await volumes.makeVolume(BigInt(8 * MiB));
  // Where a host has its records is read when its code is loaded.
  process.env.GFS2_SR_RUN_DIR = volumes.environment.GFS2_SR_RUN_DIR;
  const { activeImages } = await import('../../volume/providers/iscsi/users.ts');
  expect(activeImages(volumes.path)).toEqual([]);
  await activate(volume, '1');
  expect(activeImages(volumes.path)).toEqual([imageOf(volume).replace(/^.*\/|\.qcow2$/g, '')]);
  expect(activeImages('/somewhere/else')).toEqual([]);
  await deactivate(volume, '1');
  expect(activeImages(volumes.path)).toEqual([]);
});

it('run while garbage collection has their images, which gives way and goes on once they have ended', async () => {
  const volume = await volumes.call('Volume.create', {
    sr,
    name: 'busy',
    description: '',
    size: BigInt(64 * MiB),
    sharable: false,
  });
  const snapshot = await volumes.call('Volume.snapshot', { sr, key: volume.key });
  fill(await current(volume), 7, 0, 32 * MiB);
  await volumes.call('Volume.destroy', { sr, key: snapshot.key });
  const slow = runCollector(volumes, {}, '--rate', '1');
  await pendingTask(volumes);
  const disk = await activate(volume, 'u0');
  expect((await slow).stdout).toBe(`${sr}: 0 images merged, left for later: 1 gave way to who needed them\n`);
  expect(content(disk)).toEqual([7, 7, 7, 7]);
  write(disk, 8, MiB);
  expect(await collectGarbage(volumes)).toBe(`${sr}: 0 images merged, left for later: 1 in use\n`);
  await deactivate(volume, 'u0');
  expect(await collectGarbage(volumes)).toContain('1 images merged');
  expect(content(await activate(volume, 'u0'))).toEqual([7, 8, 7, 7]);
  await deactivate(volume, 'u0');
});

it('disks that build on one image keep its lock until the last of them ends, in any order', async () => {
  const golden = await volumes.makeVolume(BigInt(8 * MiB));
  const snapshot = await volumes.call('Volume.snapshot', { sr, key: golden.key });
  const clones = await Promise.all(
    [1, 2, 3].map(() => volumes.call('Volume.clone', { sr, key: snapshot.key })),
  );
  for (const [index, clone] of clones.entries()) await activate(clone, String(index));
  for (const [index, clone] of [...clones.entries()].slice(0, 2)) {
    await deactivate(clone, String(index));
    expect(isFree(imageOf(snapshot))).toBe(false);
  }
  await deactivate(clones[2] as Volume, '2');
  expect(isFree(imageOf(snapshot))).toBe(true);
});
