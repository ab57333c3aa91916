/** Volumes that are branched while their disks run, and go on running. */
import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runningFaultPoints } from '../../volume/images/fault-points.ts';
import { blocksOf } from '../support/changed-blocks.ts';
import { checkConsistent } from '../support/consistency.ts';
import { checkImageFile } from '../support/disk.ts';
import { Guests } from '../support/guests.ts';
import { hasBlktap } from '../support/vhd.ts';
import { imageOf, VolumeHost } from '../support/volume-host.ts';

const MiB = 1 << 20;

// What serves disks in vhd is in no distribution but dom0's.
const formats = hasBlktap ? (['qcow2', 'vhd'] as const) : (['qcow2'] as const);

describe.each(formats)('disks in %s', (format) => {
  let volumes: VolumeHost;
  let guests: Guests;
  let sr: string;
  beforeEach(async () => {
    volumes = new VolumeHost();
    guests = new Guests(volumes, format);
    sr = await volumes.makeSr({ 'image-format': format });
  });
  afterEach(() => {
    const left = guests.kill();
    volumes[Symbol.dispose]();
    expect(left).toEqual([]);
  });

  async function destroyAll(): Promise<void> {
    for (const { key } of await volumes.call('SR.ls', { sr }))
      await volumes.call('Volume.destroy', { sr, key });
    expect(volumes.images()).toEqual([]);
  }

  describe('a volume whose disk runs', () => {
    it('is snapshotted and cloned as it is at that moment, under the same guest and URI', async () => {
      const volume = await volumes.makeVolume(BigInt(4 * MiB));
      const { uri } = volume;
      const guest = await guests.start(volume);
      await guest.write(1, 0);
      const first = await volumes.call('Volume.snapshot', { sr, key: volume.key });
      await guest.write(2, 0);
      await guest.write(2, MiB);
      const clone = await volumes.call('Volume.clone', { sr, key: volume.key });
      const second = await volumes.call('Volume.snapshot', { sr, key: volume.key });
      await guest.write(3, 2 * MiB);
      expect((await guests.stat(volume)).uri).toEqual(uri);
      expect(first.read_write).toBe(false);

      // Others have what was frozen at once, also on other hosts, while the guest goes on.
      const [ofFirst, ofClone] = [await guests.start(first), await guests.start(clone)];
      await ofFirst.expect(1, 0);
      await ofFirst.expect(0, MiB);
      await ofClone.expect(2, MiB);
      await ofClone.write(4, 3 * MiB);
      await guest.expect(2, 0);
      await guest.expect(0, 3 * MiB);
      await guest.write(5, MiB);
      await guests.stop(first, ofFirst);
      await guests.stop(clone, ofClone);
      await guests.stop(volume, guest);

      expect(await guests.content(volume)).toEqual([2, 5, 3, 0]);
      expect(await guests.content(first)).toEqual([1, 0, 0, 0]);
      expect(await guests.content(second)).toEqual([2, 2, 0, 0]);
      expect(await guests.content(clone)).toEqual([2, 2, 0, 4]);
      checkConsistent(volumes);
      const again = await guests.start(volume);
      await again.expect(5, MiB);
      await guests.stop(volume, again);
      await destroyAll();
    });

    it('says since its snapshots what has changed, as a backup asks', async () => {
      const volume = await volumes.makeVolume(BigInt(4 * MiB));
      await volumes.call('Volume.enable_cbt', { sr, key: volume.key });
      const guest = await guests.start(volume);
      await guest.write(1, 0);
      const first = await volumes.call('Volume.snapshot', { sr, key: volume.key });
      await guest.write(2, 2 * MiB);
      const second = await volumes.call('Volume.snapshot', { sr, key: volume.key });
      await guest.write(3, 3 * MiB);
      await volumes.call('Volume.data_destroy', { sr, key: first.key });
      const changes = await volumes.call('Volume.list_changed_blocks', {
        sr,
        key: first.key,
        key2: second.key,
        offset: 0n,
        length: -1,
      });
      // Of vhd only whole blocks of 2 MiB are known.
      const blocks = format === 'vhd' ? 32 : 1;
      expect(blocksOf(changes)).toEqual(Array.from({ length: blocks }, (_, block) => 32 + block));
      await guests.stop(volume, guest);
      await destroyAll();
    });

    it('keeps what it is refused for in words', async () => {
      const volume = await volumes.makeVolume(BigInt(4 * MiB));
      const guest = await guests.start(volume);
      const snapshot = await volumes.call('Volume.snapshot', { sr, key: volume.key });
      const { key } = volume;
      const refused = [
        volumes.failure('Volume.revert', { sr, snapshot: snapshot.key, key }),
        volumes.failure('Volume.destroy', { sr, key }),
        volumes.failure('SR.detach', { sr }),
      ];
      for (const { params } of await Promise.all(refused)) expect(params[0]).toBe('VolumeInUse');
      await guest.write(1, 0);
      await guests.stop(volume, guest);
      expect(await guests.content(volume)).toEqual([1, 0, 0, 0]);
    });

    it('gives the room of a snapshot back under the running guest', async () => {
      const volume = await volumes.makeVolume(BigInt(4 * MiB));
      const guest = await guests.start(volume);
      await guest.write(1, 0);
      const { key } = await volumes.call('Volume.clone', { sr, key: volume.key });
      await volumes.call('Volume.destroy', { sr, key });
      await guest.write(2, MiB);
      await guests.stop(volume, guest);
      expect(await guests.content(volume)).toEqual([1, 2, 0, 0]);
      await destroyAll();
    });
  });

  const faultsOf = (call: keyof typeof runningFaultPoints): readonly string[] =>
    // tapdisk opens what is at the path when it goes on.
    runningFaultPoints[call].map((fault) =>
      fault === 'live.opened' && format === 'vhd' ? 'live.paused' : fault,
    );
  const faults = faultsOf('live-snapshot');

  describe('a snapshot of a running disk that is killed', () => {
    it.each(faults)('after %s goes on with the next one, and no write is lost', async (fault) => {
      const volume = await volumes.makeVolume(BigInt(4 * MiB));
      const guest = await guests.start(volume);
      await guest.write(1, 0);
      await volumes.die(fault, 'Volume.snapshot', { sr, key: volume.key });
      await guest.write(2, MiB);
      const snapshot = await volumes.call('Volume.snapshot', { sr, key: volume.key });
      await guest.write(3, 2 * MiB);
      for (const other of await volumes.call('SR.ls', { sr })) {
        if (other.key === volume.key) continue;
        // Also those that the killed call made can be read now.
        const reader = await guests.start(other);
        await reader.expect(1, 0);
        await reader.expect(0, 2 * MiB);
        await guests.stop(other, reader);
      }
      await guests.stop(volume, guest);
      expect(await guests.content(volume)).toEqual([1, 2, 3, 0]);
      expect(await guests.content(snapshot)).toEqual([1, 2, 0, 0]);
      checkConsistent(volumes);
      await destroyAll();
    });

    it.each(faults)('after %s leaves all to another host when its own is lost', async (fault) => {
      const other = new VolumeHost(volumes);
      const othersGuests = new Guests(other, format);
      volumes.defer(() => other[Symbol.dispose]());
      const volume = await volumes.makeVolume(BigInt(4 * MiB));
      const guest = await guests.start(volume);
      await guest.write(1, 0);
      await volumes.die(fault, 'Volume.snapshot', { sr, key: volume.key });
      await guest.write(2, MiB);
      guests.kill();
      await guest.leave();

      await other.attachSr();
      const next = await othersGuests.start(volume);
      await next.expect(1, 0);
      await next.expect(2, MiB);
      await next.write(3, 2 * MiB);
      await othersGuests.stop(volume, next);
      expect(await othersGuests.content(volume)).toEqual([1, 2, 3, 0]);
      for (const each of await other.call('SR.ls', { sr })) {
        if (each.key !== volume.key) expect((await othersGuests.content(each))[0]).toBe(1);
      }
      checkConsistent(other);
      await destroyAll();
    });
  });

  it('a clone of a running disk that is killed on its way is there or not, and so are its images', async () => {
    const volume = await volumes.makeVolume(BigInt(4 * MiB));
    const guest = await guests.start(volume);
    await guest.write(1, 0);
    for (const fault of faultsOf('live-clone')) {
      await volumes.die(fault, 'Volume.clone', { sr, key: volume.key });
    }
    const clone = await volumes.call('Volume.clone', { sr, key: volume.key });
    await guest.write(2, 0);
    await guests.stop(volume, guest);
    expect(await guests.content(clone)).toEqual([1, 0, 0, 0]);
    expect(await guests.content(volume)).toEqual([2, 0, 0, 0]);
    checkConsistent(volumes);
    await destroyAll();
  });

  it('a disk whose process was killed says so until it is let go, and has all that was flushed', async () => {
    const volume = await volumes.makeVolume(BigInt(4 * MiB));
    const guest = await guests.start(volume);
    await guest.write(1, 0);
    expect((await volumes.call('SR.stat', { sr })).health).toEqual(['Healthy', '']);
    guests.kill();
    await guest.leave();
    const [kind, said] = (await volumes.call('SR.stat', { sr })).health;
    expect(kind).toBe('Healthy');
    expect(said).toContain(`${imageOf(volume)} has ended, and what uses it gets I/O errors`);
    const [uri = ''] = volume.uri;
    await guests.letGo(uri);
    expect((await volumes.call('SR.stat', { sr })).health).toEqual(['Healthy', '']);
    const next = await guests.start(volume);
    await next.expect(1, 0);
    await guests.stop(volume, next);
    await destroyAll();
  });

  it('a process that took a snapshot keeps the locks of all its images, and lets them go with itself', async () => {
    const volume = await volumes.makeVolume(BigInt(4 * MiB));
    const guest = await guests.start(volume);
    const snapshot = await volumes.call('Volume.snapshot', { sr, key: volume.key });
    const lock = (file: string, mode: 'shared' | 'exclusive'): boolean => {
      try {
        execFileSync('flock', [`--${mode}`, '--nonblock', file, 'true']);
        return true;
      } catch {
        return false;
      }
    };
    const [leaf, frozen] = [imageOf(volume), imageOf(snapshot)];
    expect(statSync(leaf).ino).not.toBe(statSync(frozen).ino);
    expect([lock(leaf, 'shared'), lock(frozen, 'shared'), lock(frozen, 'exclusive')]).toEqual([
      false,
      true,
      false,
    ]);
    await guests.stop(volume, guest);
    expect([lock(leaf, 'exclusive'), lock(frozen, 'exclusive')]).toEqual([true, true]);
    for (const file of [leaf, frozen]) checkImageFile(file);
  });
});
