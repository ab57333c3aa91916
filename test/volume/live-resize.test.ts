/** Volumes that grow while their disks run. */
import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runningFaultPoints } from '../../volume/images/fault-points.ts';
import { Host } from '../datapath/host.ts';
import { checkConsistent } from '../support/consistency.ts';
import { Guests } from '../support/guests.ts';
import { hasBlktap } from '../support/vhd.ts';
import { VolumeHost } from '../support/volume-host.ts';

const MiB = 1 << 20;
const [size, grown] = [BigInt(4 * MiB), BigInt(8 * MiB)];

describe('a running disk in qcow2', () => {
  let volumes: VolumeHost;
  let guests: Guests;
  let sr: string;
  beforeEach(async () => {
    volumes = new VolumeHost();
    guests = new Guests(volumes);
    sr = await volumes.makeSr();
  });
  afterEach(() => {
    const left = guests.kill();
    volumes[Symbol.dispose]();
    expect(left).toEqual([]);
  });

  it('grows, and whoever comes to it then has the new part, also over a snapshot', async () => {
    const volume = await volumes.makeVolume(size);
    const guest = await guests.start(volume);
    await guest.write(1, 0);
    const snapshot = await volumes.call('Volume.snapshot', { sr, key: volume.key });
    await guest.write(2, MiB);
    // It would lose its connection.
    await guest.leave();
    await volumes.call('Volume.resize', { sr, key: volume.key, new_size: grown });
    expect((await guests.stat(volume)).virtual_size).toBe(grown);
    const next = await guests.start(volume);
    await next.expect(1, 0);
    await next.expect(2, MiB);
    await next.expect(0, 7 * MiB);
    await next.write(3, 7 * MiB);
    // Nothing of what a running disk can do has been lost by it.
    await volumes.call('Volume.snapshot', { sr, key: volume.key });
    await next.write(4, 2 * MiB);
    await next.expect(3, 7 * MiB);
    await guests.stop(volume, next);
    expect(await guests.content(volume)).toEqual([1, 2, 4, 0]);
    expect((await guests.stat(snapshot)).virtual_size).toBe(size);
    expect(await guests.content(snapshot)).toEqual([1, 0, 0, 0]);
    checkConsistent(volumes);
  });

  it('does not shrink, and is not touched by that', async () => {
    const volume = await volumes.makeVolume(size);
    const guest = await guests.start(volume);
    const { message } = await volumes.failure('Volume.resize', {
      sr,
      key: volume.key,
      new_size: size / 2n,
    });
    expect(message).toContain('volumes only grow');
    await guest.write(1, 0);
    await guests.stop(volume, guest);
  });

  // Without a kernel that has NBD devices nobody is connected anew.
  const faults = runningFaultPoints['live-resize'].filter((fault) => fault !== 'live-resize.connected');

  it.each(faults)(
    'that grows and is killed after %s has all its bytes, and grows with the next call',
    async (fault) => {
      const volume = await volumes.makeVolume(size);
      const guest = await guests.start(volume);
      await guest.write(1, 0);
      // It would lose its connection.
      await guest.leave();
      await volumes.die(fault, 'Volume.resize', { sr, key: volume.key, new_size: grown });
      await volumes.call('Volume.resize', { sr, key: volume.key, new_size: grown });
      expect((await guests.stat(volume)).virtual_size).toBe(grown);
      const next = await guests.start(volume);
      await next.expect(1, 0);
      await next.write(2, 7 * MiB);
      await guests.stop(volume, next);
      expect(await guests.content(volume)).toEqual([1, 0, 0, 0]);
      // Whatever changes the catalog next settles what is left to be settled.
      await volumes.makeVolume(size);
      checkConsistent(volumes);
    },
  );

  it.each(faults)('that is killed after %s, and let go, has one size wherever one asks', async (fault) => {
    const volume = await volumes.makeVolume(size);
    const guest = await guests.start(volume);
    await guest.write(1, 0);
    // It would lose its connection.
    await guest.leave();
    await volumes.die(fault, 'Volume.resize', { sr, key: volume.key, new_size: grown });
    const next = await guests.start(volume);
    await next.expect(1, 0);
    await guests.stop(volume, next);
    const other = await volumes.makeVolume(size);
    expect([size, grown]).toContain((await guests.stat(volume)).virtual_size);
    checkConsistent(volumes);
    await volumes.call('Volume.resize', { sr, key: volume.key, new_size: grown });
    expect((await guests.stat(volume)).virtual_size).toBe(grown);
    await volumes.call('Volume.destroy', { sr, key: other.key });
  });
});

describe('a running disk', () => {
  let volumes: VolumeHost;
  beforeEach(() => {
    volumes = new VolumeHost();
  });
  afterEach(() => volumes[Symbol.dispose]());

  it.runIf(hasBlktap)('in vhd does not grow, and goes on', async () => {
    const guests = new Guests(volumes, 'vhd');
    const sr = await volumes.makeSr({ 'image-format': 'vhd' });
    const volume = await volumes.makeVolume(size);
    const guest = await guests.start(volume);
    const refused = await volumes.failure('Volume.resize', { sr, key: volume.key, new_size: grown });
    expect(refused.params[0]).toBe('VolumeInUse');
    await guest.write(1, 0);
    await guests.stop(volume, guest);
    await volumes.call('Volume.resize', { sr, key: volume.key, new_size: grown });
    expect(await guests.content(volume)).toEqual([1, 0, 0, 0]);
  });

  it('in qcow2 does not grow under a client that would lose its connection, and stays as it is', async () => {
    const guests = new Guests(volumes);
    const sr = await volumes.makeSr();
    const volume = await volumes.makeVolume(size);
    const guest = await guests.start(volume);
    await guest.write(1, 0);
    const refused = await volumes.failure('Volume.resize', { sr, key: volume.key, new_size: grown });
    expect(refused.params[0]).toBe('VolumeInUse');
    expect(refused.message).toContain('a program that is connected to its NBD server');
    await guest.write(2, MiB);
    expect((await guests.stat(volume)).virtual_size).toBe(size);
    await guests.stop(volume, guest);
    await volumes.call('Volume.resize', { sr, key: volume.key, new_size: grown });
    expect(await guests.content(volume)).toEqual([1, 2, 0, 0]);
  });

  it('that is raw grows under its users', async () => {
    const disks = new Host(volumes.environment.GFS2_SR_RUN_DIR);
    const sr = await volumes.makeSr({ 'image-format': 'raw' });
    const { key, uri } = await volumes.makeVolume(size);
    const disk = { uri: uri[0] as string, domain: '0' };
    const device = await disks.device(disk.uri);
    await disks.call('Datapath.activate', disk);
    const sizeOf = (): string =>
      execFileSync('blockdev', ['--getsize64', device], { encoding: 'utf8' }).trim();
    expect(sizeOf()).toBe(String(size));
    await volumes.die('live-resize.intent', 'Volume.resize', { sr, key, new_size: grown });
    await volumes.call('Volume.resize', { sr, key, new_size: grown });
    expect(sizeOf()).toBe(String(grown));
    await disks.call('Datapath.deactivate', disk);
    await disks.call('Datapath.detach', disk);
    expect((await volumes.call('Volume.stat', { sr, key })).virtual_size).toBe(grown);
  });

  it('that is sharable does not grow, as other hosts may run it too', async () => {
    const disks = new Host(volumes.environment.GFS2_SR_RUN_DIR);
    const sr = await volumes.makeSr({ 'image-format': 'raw' });
    const { key, uri } = await volumes.makeVolume(size, true);
    const disk = { uri: uri[0] as string, domain: '0' };
    await disks.device(disk.uri);
    await disks.call('Datapath.activate', disk);
    const refused = await volumes.failure('Volume.resize', { sr, key, new_size: grown });
    expect(refused.params[0]).toBe('SharableVolume');
    await disks.call('Datapath.deactivate', disk);
    await disks.call('Datapath.detach', disk);
    await volumes.call('Volume.resize', { sr, key, new_size: grown });
  });
});
