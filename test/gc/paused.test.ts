/** An SR that is full, with disks that are paused for it: what makes room still works, and they go on. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Volume } from '../../src/smapi/interface.ts';
import { diskProcesses, Host } from '../datapath/host.ts';
import { checkConsistent } from '../support/consistency.ts';
import { fill } from '../support/disk.ts';
import { mountSmallStorage, type SmallStorage } from '../support/small-storage.ts';
import { hasBlktap, needsBlktap } from '../support/vhd.ts';
import { VolumeHost } from '../support/volume-host.ts';
import { hasWritten, startWriter } from '../support/writer.ts';
import { runProcess } from '../support/xapi.ts';
import { collectGarbage } from './collector.ts';

const MiB = 1 << 20;

let volumes: VolumeHost;
let storage: SmallStorage;
beforeEach(() => {
  volumes = new VolumeHost();
  storage = mountSmallStorage(join(volumes.folder, 'storage'), volumes.path);
  volumes.defer(storage.unmount);
});
afterEach(() => {
  for (const pid of diskProcesses(volumes.folder)) process.kill(pid, 'SIGKILL');
  volumes[Symbol.dispose]();
});

async function makeFilled(mebibytes: number): Promise<Volume> {
  const volume = await volumes.makeVolume(BigInt(mebibytes * MiB));
  fill(volume, 1, 0, mebibytes * MiB);
  return volume;
}

/** What `gfs2-sr sr status` prints. */
async function statusOf(): Promise<string> {
  const program = join(import.meta.dirname, '../../cli/main.ts');
  const { stdout } = await runProcess(
    process.execPath,
    [program, 'gfs2-sr', 'sr', 'status'],
    '',
    volumes.environment,
  );
  return stdout;
}

async function healthOf(sr: string): Promise<readonly string[]> {
  return (await volumes.call('SR.stat', { sr })).health;
}

/** Has a guest write until its disk is paused, has something make room, and sees that all is written. */
async function whilePaused(format: string, makeRoom: (sr: string) => Promise<void>): Promise<void> {
  const sr = volumes.uuid;
  const disks = new Host(volumes.environment.GFS2_SR_RUN_DIR, `${format}+file`);
  const volume = await volumes.makeVolume(BigInt(512 * MiB));
  const disk = { uri: volume.uri[0] ?? '', domain: '5' };
  storage.leave(220);
  await disks.call('Datapath.activate', disk);
  expect(await healthOf(sr)).toEqual(['Healthy', '']);
  const writer = startWriter(await disks.socket(disk.uri), 7, 200);
  await vi.waitFor(
    async () =>
      expect(await healthOf(sr)).toEqual([
        'Healthy',
        expect.stringMatching(
          /^The SR is full, with \d+ MiB left\. One running disk is paused on this host until 18\d MiB are free; /,
        ),
      ]),
    { timeout: 45_000, interval: 100 },
  );
  expect(writer.isWaiting()).toBe(true);
  expect(await statusOf()).toMatch(
    new RegExp(`^${sr}: paused ${volumes.path}/images/.*\n${sr}: \\d+ MiB of \\d+ MiB free\n`),
  );
  if (format === 'vhd') await volumes.call('Volume.snapshot', { sr, key: volume.key });
  else {
    // Its guest would write on meanwhile.
    const { params } = await volumes.failure('Volume.snapshot', { sr, key: volume.key });
    expect(params[0]).toBe('SRFull');
  }
  await makeRoom(sr);
  expect(await writer.written).toEqual({ exitCode: 0, said: expect.not.stringMatching(/fail|error/i) });
  expect(hasWritten(await disks.socket(disk.uri), 7, 200)).toBe(true);
  await disks.call('Datapath.detach', disk);
  storage.makeRoom();
  expect(await healthOf(sr)).toEqual(['Healthy', '']);
  checkConsistent(volumes);
}

describe.each(['qcow2', 'vhd'])('a paused disk in %s', (format) => {
  const skipped = format === 'vhd' && !hasBlktap;
  it.skipIf(skipped)(
    `goes on when a snapshot is destroyed${format === 'vhd' ? needsBlktap : ''}`,
    async () => {
      const sr = await volumes.makeSr({ 'image-format': format });
      const { key } = await makeFilled(256);
      const snapshot = await volumes.call('Volume.snapshot', { sr, key });
      await volumes.call('Volume.destroy', { sr, key });
      await whilePaused(format, async () => {
        await volumes.call('Volume.destroy', { sr, key: snapshot.key });
      });
    },
  );
});

it('a paused disk goes on when garbage collection has merged images of another, also if nobody watches any more', async () => {
  const sr = await volumes.makeSr();
  const { key } = await makeFilled(192);
  const snapshot = await volumes.call('Volume.snapshot', { sr, key });
  fill(await volumes.call('Volume.stat', { sr, key }), 2, 0, 192 * MiB);
  await whilePaused('qcow2', async () => {
    await volumes.call('Volume.destroy', { sr, key: snapshot.key });
    const watcher = Number(readFileSync(join(volumes.environment.GFS2_SR_RUN_DIR, 'room/watcher'), 'utf8'));
    const parent = /^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${watcher}/status`, 'utf8'))?.[1];
    for (const pid of [Number(parent), watcher]) process.kill(pid, 'SIGKILL');
    expect(await collectGarbage(volumes)).toBe(`${sr}: 1 images merged\n`);
  });
});
