/** Garbage collection below disks that run: their guests go on, and what they wrote is there. */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Volume } from '../../src/smapi/interface.ts';
import { runningMergeFaultPoints } from '../../volume/gc/fault-points.ts';
import { checkConsistent } from '../support/consistency.ts';
import type { Guest } from '../support/guest.ts';
import { Guests } from '../support/guests.ts';
import { VolumeHost } from '../support/volume-host.ts';
import { collectGarbage, dieCollecting, gcStatus, startCollector } from './collector.ts';

const MiB = 1 << 20;

let host: VolumeHost;
let guests: Guests;
let sr: string;
beforeEach(async () => {
  host = new VolumeHost();
  guests = new Guests(host);
  sr = await host.makeSr();
});
afterEach(() => {
  const left = guests.kill();
  host[Symbol.dispose]();
  expect(left).toEqual([]);
});

interface Running {
  readonly volume: Volume;
  readonly guest: Guest;
}

async function destroy(...keys: readonly string[]): Promise<void> {
  for (const key of keys) await host.call('Volume.destroy', { sr, key });
}

/** A volume of three images, two of them below its running disk and nobody else's: it reads 1, 2, 3, 0. */
async function makeGarbage(blocks = 0): Promise<Running> {
  const volume = await host.makeVolume(BigInt(64 * MiB));
  const guest = await guests.start(volume);
  await guest.write(1, 0);
  await guest.write(9, MiB);
  const first = await host.call('Volume.snapshot', { sr, key: volume.key });
  await guest.write(2, MiB);
  await guest.write(9, 2 * MiB);
  for (let block = 0; block < blocks; block++) await guest.write(7, (4 + block) * MiB);
  const second = await host.call('Volume.snapshot', { sr, key: volume.key });
  await guest.write(3, 2 * MiB);
  await destroy(first.key, second.key);
  expect(host.images()).toHaveLength(3);
  return { volume, guest };
}

async function expectContent({ guest }: Running, last = 0): Promise<void> {
  for (const [index, byte] of [1, 2, 3, last].entries()) await guest.expect(byte, index * MiB);
}

/** Blocks that take some seconds to be merged slowly: longer, as a rule, than what a test does meanwhile. */
const manyBlocks = 48;

/** Has garbage collection write as slowly as it can; answers what waits for its end. */
async function startSlowly(): Promise<Promise<unknown>[]> {
  const collector = startCollector(host, '--rate', '1');
  const ended = once(collector, 'exit');
  while (collector.exitCode === null && !/task .* is at/.test(await gcStatus(host))) await sleep(20);
  return [ended];
}

describe('images below a running disk', () => {
  it('are merged under its guest, again and again', async () => {
    const running = await makeGarbage();
    expect(await collectGarbage(host)).toMatch(/: 1 images? merged/);
    expect(host.images()).toHaveLength(2);
    await expectContent(running);
    await running.guest.write(4, 3 * MiB);
    for (const byte of [5, 6]) {
      const { key } = await host.call('Volume.snapshot', { sr, key: running.volume.key });
      await running.guest.write(byte, 3 * MiB);
      await destroy(key);
      await collectGarbage(host);
      expect(host.images()).toHaveLength(2);
    }
    await expectContent(running, 6);
    await guests.stop(running.volume, running.guest);
    expect(await guests.content(running.volume)).toEqual([1, 2, 3, 6]);
    checkConsistent(host);
    await collectGarbage(host);
    expect(host.images()).toHaveLength(1);
    expect(await guests.content(running.volume)).toEqual([1, 2, 3, 6]);
    checkConsistent(host);
  });

  it('are left alone while another disk reads them, or a snapshot is one of them', async () => {
    const volume = await host.makeVolume(BigInt(64 * MiB));
    const guest = await guests.start(volume);
    await guest.write(1, 0);
    const first = await host.call('Volume.snapshot', { sr, key: volume.key });
    await guest.write(2, MiB);
    const second = await host.call('Volume.snapshot', { sr, key: volume.key });
    const reader = await guests.start(second);
    await destroy(first.key);
    expect(await collectGarbage(host)).toMatch(/: 0 images merged/);
    expect(host.images()).toHaveLength(3);
    await reader.expect(1, 0);
    await guests.stop(second, reader);
    // Into the image of the one snapshot that is left.
    expect(await collectGarbage(host)).toMatch(/: 1 images? merged/);
    expect(await guests.content(second)).toEqual([1, 2, 0, 0]);
    await guests.stop(volume, guest);
    checkConsistent(host);
  });

  it('are given up to who needs them, and to a snapshot, and go on being merged later', async () => {
    const running = await makeGarbage(manyBlocks);
    const clone = await host.call('Volume.clone', { sr, key: running.volume.key });
    const collected = await startSlowly();
    const other = await guests.start(clone);
    await other.expect(1, 0);
    const snapshot = await host.call('Volume.snapshot', { sr, key: running.volume.key });
    await Promise.all(collected);
    await expectContent(running);
    await guests.stop(clone, other);
    await destroy(snapshot.key, clone.key);
    await collectGarbage(host);
    expect(host.images()).toHaveLength(2);
    await expectContent(running);
    await guests.stop(running.volume, running.guest);
    await collectGarbage(host);
    expect(await guests.content(running.volume)).toEqual([1, 2, 3, 0]);
    checkConsistent(host);
  });

  it('do not keep the disk from being let go, and are merged without it then', async () => {
    const running = await makeGarbage(manyBlocks);
    const collected = await startSlowly();
    await guests.stop(running.volume, running.guest);
    await Promise.all(collected);
    expect(await guests.content(running.volume)).toEqual([1, 2, 3, 0]);
    await collectGarbage(host);
    expect(host.images()).toHaveLength(1);
    expect(await guests.content(running.volume)).toEqual([1, 2, 3, 0]);
    checkConsistent(host);
  });
});

describe('a merge below a running disk that is killed', () => {
  it.each(runningMergeFaultPoints)('after %s is ended by the next pass, under the guest', async (fault) => {
    const running = await makeGarbage();
    await dieCollecting(host, fault);
    await expectContent(running);
    await running.guest.write(4, 3 * MiB);
    await collectGarbage(host);
    expect(host.images()).toHaveLength(2);
    await expectContent(running, 4);
    // Nothing of it is open or locked still.
    const { key } = await host.call('Volume.snapshot', { sr, key: running.volume.key });
    const snapshot = await guests.stat({ key });
    const reader = await guests.start(snapshot);
    await reader.expect(2, MiB);
    await guests.stop(snapshot, reader);
    await destroy(key);
    await guests.stop(running.volume, running.guest);
    await collectGarbage(host);
    expect(host.images()).toHaveLength(1);
    expect(await guests.content(running.volume)).toEqual([1, 2, 3, 4]);
    checkConsistent(host);
  });

  it.each(runningMergeFaultPoints)('after %s with its host is ended by another host', async (fault) => {
    const other = new VolumeHost(host);
    host.defer(() => other[Symbol.dispose]());
    const running = await makeGarbage();
    await dieCollecting(host, fault);
    await running.guest.write(4, 3 * MiB);
    guests.kill();
    await running.guest.leave();
    await other.attachSr();
    const others = new Guests(other);
    const guest = await others.start(running.volume);
    await expectContent({ ...running, guest }, 4);
    await others.stop(running.volume, guest);
    await collectGarbage(other);
    expect(other.images()).toHaveLength(1);
    expect(await others.content(running.volume)).toEqual([1, 2, 3, 4]);
    checkConsistent(other);
  });
});
