/** Garbage collection beside others who want the same images. */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { checkConsistent } from '../support/consistency.ts';
import { fill, read, runs } from '../support/disk.ts';
import { pendingTask } from '../support/tasks.ts';
import { VolumeHost } from '../support/volume-host.ts';
import { collectGarbage, gcStatus, runCollector, startCollector } from './collector.ts';

const size = 64 << 20;

/** A volume with `bytes` written to it since a snapshot that is gone. */
async function makeGarbage(host: VolumeHost, bytes: number): Promise<string> {
  const { key } = await host.makeVolume(BigInt(size));
  const snapshot = await host.call('Volume.snapshot', { sr: host.uuid, key });
  fill(await host.call('Volume.stat', { sr: host.uuid, key }), 1, 0, bytes);
  if (snapshot.key !== '') await host.call('Volume.snapshot', { sr: host.uuid, key });
  await host.call('Volume.destroy', { sr: host.uuid, key: snapshot.key });
  return key;
}

it('is done once by two hosts that collect at the same time, and each merge by one of them', async () => {
  using host = new VolumeHost();
  using other = new VolumeHost(host);
  const sr = await host.makeSr({ 'image-format': 'qcow2' });
  await other.attachSr();
  const keys: string[] = [];
  for (let count = 0; count < 6; count++) keys.push(await makeGarbage(host, 4 << 20));
  const images = host.images().length;
  const ended = await Promise.all([host, other, host].map((one) => runCollector(one, {}, '--rate', '20')));
  expect(ended.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0]);
  const merged = ended.map(({ stdout }) => Number(/: (\d+) images merged/.exec(stdout)?.[1]));
  expect(merged.reduce((sum, count) => sum + count)).toBe(6);
  // They share the work.
  expect(merged.filter((count) => count > 0).length).toBeGreaterThan(1);
  expect(host.images()).toHaveLength(images - 6);
  for (const key of keys) {
    expect(runs(await host.call('Volume.stat', { sr, key }))).toBe(`1x${4 << 20} 0x${size - (4 << 20)}`);
  }
  checkConsistent(host);
});

it('gives way to a call that needs the images, and goes on another time', async () => {
  using host = new VolumeHost();
  const sr = await host.makeSr({ 'image-format': 'qcow2' });
  const key = await makeGarbage(host, size / 2);
  const content = read(await host.call('Volume.stat', { sr, key }));
  const images = host.images().length;
  const slow = runCollector(host, {}, '--rate', '1');
  await pendingTask(host);
  // Reads all images of the volume.
  const copy = await host.call('Volume.copy', { sr, key, dest_sr: sr });
  expect((await slow).stdout).toBe(`${sr}: 0 images merged, left for later: 1 gave way to who needed them\n`);
  expect(read(copy).equals(content)).toBe(true);
  expect(read(await host.call('Volume.stat', { sr, key })).equals(content)).toBe(true);
  await host.call('Volume.destroy', { sr, key: copy.key });
  expect(await collectGarbage(host)).toContain('1 images merged');
  expect(host.images()).toHaveLength(images - 1);
  expect(read(await host.call('Volume.stat', { sr, key })).equals(content)).toBe(true);
  checkConsistent(host);
});

it('gives way to all who need the images, not to the first alone', async () => {
  using host = new VolumeHost();
  const sr = await host.makeSr({ 'image-format': 'qcow2' });
  const key = await makeGarbage(host, size / 2);
  const content = read(await host.call('Volume.stat', { sr, key }));
  const slow = runCollector(host, {}, '--rate', '1');
  await pendingTask(host);
  const copies = await Promise.all([1, 2, 3].map(() => host.call('Volume.copy', { sr, key, dest_sr: sr })));
  await slow;
  for (const copy of copies) expect(read(copy).equals(content)).toBe(true);
  checkConsistent(host);
});

it('is a task that tells how far it is, and leaves all in order when it is cancelled', async () => {
  using host = new VolumeHost();
  const sr = await host.makeSr({ 'image-format': 'qcow2' });
  const key = await makeGarbage(host, size / 2);
  const content = read(await host.call('Volume.stat', { sr, key }));
  const slow = runCollector(host, {}, '--rate', '1');
  const id = await pendingTask(host);
  expect((await host.failure('Task.destroy', { id })).params[0]).toBe('TaskInProgress');
  await host.call('Task.cancel', { id });
  const { exitCode, stderr } = await slow;
  expect([exitCode, stderr]).toEqual([1, expect.stringContaining('was cancelled')]);
  expect((await host.call('Task.stat', { id })).state).toEqual([
    'Failed',
    expect.stringContaining('cancelled'),
  ]);
  checkConsistent(host);
  expect(read(await host.call('Volume.stat', { sr, key })).equals(content)).toBe(true);
  await host.call('Task.destroy', { id });
  await host.call('Task.destroy', { id });
  expect(await host.call('Task.ls', {})).toEqual([]);
  expect((await host.failure('Task.stat', { id })).params[0]).toBe('TaskDoesNotExist');
});

it('is a failed task when its process was killed, and what its command still does hinders nobody', async () => {
  using host = new VolumeHost();
  using other = new VolumeHost(host);
  const sr = await host.makeSr({ 'image-format': 'qcow2' });
  await other.attachSr();
  const key = await makeGarbage(host, 8 << 20);
  const child = startCollector(host, '--rate', '4');
  const id = await pendingTask(host);
  const ended = once(child, 'close');
  child.kill('SIGKILL');
  await ended;
  expect((await host.call('Task.stat', { id })).state).toEqual([
    'Failed',
    expect.stringContaining('ended before'),
  ]);
  // Its qemu-img goes on, with the images' locks.
  expect(await collectGarbage(other)).toBe(`${sr}: 0 images merged, left for later: 1 in use\n`);
  await sleep(3_000);
  expect(await collectGarbage(other)).toContain('1 images merged');
  expect(runs(await other.call('Volume.stat', { sr, key }))).toBe(`1x${8 << 20} 0x${size - (8 << 20)}`);
  checkConsistent(host);
});

it('ends when its SR is detached, and shows what there is to do', async () => {
  using host = new VolumeHost();
  const sr = await host.makeSr({ 'image-format': 'qcow2' });
  await makeGarbage(host, size / 2);
  expect(await gcStatus(host)).toBe(`${sr}: 1 images to merge, the longest chain has 3\n`);
  const slow = runCollector(host, {}, '--rate', '1');
  const id = await pendingTask(host);
  expect(await gcStatus(host)).toMatch(
    new RegExp(`^${sr}: 1 images to .*\n${sr}: task ${id} .* is at \\d+ %\n$`),
  );
  expect(await host.call('Plugin.diagnostics', {})).toContain(`${sr}: 1 images to merge`);
  await host.call('SR.detach', { sr });
  expect((await slow).exitCode).toBe(1);
  await host.attachSr();
  expect(await collectGarbage(host)).toContain('1 images merged');
});
