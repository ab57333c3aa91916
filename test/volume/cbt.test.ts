import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import type { ChangedBlocks, Volume } from '../../src/smapi/interface.ts';
import { collectGarbage } from '../gc/collector.ts';
import { backupBlock, blocksOf, dieAfter, perform, updateBackup } from '../support/changed-blocks.ts';
import { checkConsistent } from '../support/consistency.ts';
import { fill, read } from '../support/disk.ts';
import { imageOf, VolumeHost } from '../support/volume-host.ts';
import { StorageScript } from '../support/xapi-storage-script.ts';

const size = 1n << 20n;

/** A tracked volume, and calls on it. */
class Tracked {
  readonly host: VolumeHost;
  readonly sr: string;
  readonly key: string;

  constructor(host: VolumeHost, key: string) {
    this.host = host;
    this.sr = host.uuid;
    this.key = key;
  }

  static async make(host: VolumeHost, format = 'qcow2'): Promise<Tracked> {
    await host.makeSr({ 'image-format': format });
    const { key } = await host.makeVolume(size);
    await host.call('Volume.enable_cbt', { sr: host.uuid, key });
    return new Tracked(host, key);
  }

  stat(key = this.key): Promise<Volume> {
    return this.host.call('Volume.stat', { sr: this.sr, key });
  }

  /** Fills blocks of a backup with a byte. */
  async write(byte: number, first: number, count = 1): Promise<void> {
    fill(await this.stat(), byte, first * backupBlock, count * backupBlock);
  }

  async snapshot(): Promise<string> {
    return (await this.host.call('Volume.snapshot', { sr: this.sr, key: this.key })).key;
  }

  async dataDestroy(key: string): Promise<void> {
    await this.host.call('Volume.data_destroy', { sr: this.sr, key });
  }

  async destroy(key: string): Promise<void> {
    await this.host.call('Volume.destroy', { sr: this.sr, key });
  }

  list(from: string, to: string, offset = 0n, length = -1): Promise<ChangedBlocks> {
    return this.host.call('Volume.list_changed_blocks', { sr: this.sr, key: from, key2: to, offset, length });
  }

  async blocks(from: string, to: string): Promise<readonly number[]> {
    return blocksOf(await this.list(from, to));
  }

  async refusal(from: string, to: string): Promise<{ code: string; params: readonly string[] }> {
    const parameters = { sr: this.sr, key: from, key2: to, offset: 0n, length: -1 };
    return await this.host.failure('Volume.list_changed_blocks', parameters);
  }
}

const fullBackup = {
  code: 'SR_BACKEND_FAILURE_460',
  params: ['ChangesUnknown', expect.stringContaining('take a full backup')],
};

describe.each(['raw', 'qcow2'])('the changed blocks of a disk of %s', (format) => {
  it('are those written between two snapshots, and between one and now', async () => {
    using host = new VolumeHost();
    const disk = await Tracked.make(host, format);
    await disk.write(1, 0, 16);
    const first = await disk.snapshot();
    await disk.write(2, 3, 2);
    const second = await disk.snapshot();
    await disk.write(3, 15);
    expect(await disk.blocks(first, second)).toEqual([3, 4]);
    expect(await disk.blocks(second, disk.key)).toEqual([15]);
    expect(await disk.blocks(first, disk.key)).toEqual([3, 4, 15]);
    expect(await disk.blocks(second, first)).toEqual([3, 4]);
    expect(await disk.blocks(first, first)).toEqual([]);
  });

  it('are still known when the data of a snapshot is gone, and the snapshot is listed until it is destroyed', async () => {
    using host = new VolumeHost();
    const disk = await Tracked.make(host, format);
    const { sr, key } = disk;
    await disk.write(1, 0, 16);
    const first = await disk.snapshot();
    await disk.write(2, 3);
    const second = await disk.snapshot();
    await disk.write(3, 5);
    const before = await disk.stat(first);
    expect(before).toMatchObject({ cbt_enabled: true, volume_type: ['Data_and_CBT_Metadata', null] });
    await disk.dataDestroy(first);
    await disk.dataDestroy(first);
    const after = await disk.stat(first);
    expect(after).toMatchObject({
      name: before.name,
      virtual_size: size,
      read_write: false,
      cbt_enabled: true,
      volume_type: ['CBT_Metadata', null],
      uri: [],
      keys: { 'vdi-type': 'cbt_metadata' },
    });
    expect(after.physical_utilisation).toBeLessThan(1000n);
    expect(await disk.blocks(first, second)).toEqual([3]);
    expect(await disk.blocks(first, key)).toEqual([3, 5]);

    await host.call('Volume.set', { sr, key: first, k: 'ключ', v: 'значение' });
    await host.call('Volume.set_name', { sr, key: first, new_name: 'kept' });
    await host.call('Volume.set_description', { sr, key: first, new_description: 'for a backup' });
    await host.call('Volume.unset', { sr, key: first, k: 'nothing' });
    const listed = (await host.call('SR.ls', { sr })).find((volume) => volume.key === first);
    expect(listed).toMatchObject({
      name: 'kept',
      description: 'for a backup',
      keys: { ключ: 'значение', 'vdi-type': 'cbt_metadata' },
    });
    await disk.destroy(first);
    await disk.destroy(first);
    expect((await host.call('SR.ls', { sr })).map((volume) => volume.key).toSorted()).toEqual(
      [second, key].toSorted(),
    );
    for (const volume of [second, key]) await disk.destroy(volume);
    expect(host.images()).toEqual([]);
    checkConsistent(host);
  });

  it('are known through a revert, also to a snapshot whose disk the revert dropped', async () => {
    using host = new VolumeHost();
    const disk = await Tracked.make(host, format);
    const { sr, key } = disk;
    await disk.write(1, 0, 16);
    const first = await disk.snapshot();
    await disk.write(2, 3);
    const second = await disk.snapshot();
    await disk.write(3, 5);
    await host.call('Volume.revert', { sr, snapshot: first, key });
    await disk.write(4, 8);
    expect(await disk.blocks(second, key)).toEqual([3, 8]);
    expect(await disk.stat()).toMatchObject({ cbt_enabled: true });
    const images = host.images().length;
    await disk.dataDestroy(second);
    // Nothing else needed its image.
    expect(host.images()).toHaveLength(images - 1);
    expect(await disk.blocks(second, key)).toEqual([3, 8]);
    checkConsistent(host);
  });

  it('are those of a clone too, when it is tracked', async () => {
    using host = new VolumeHost();
    const disk = await Tracked.make(host, format);
    const { sr, key } = disk;
    await disk.write(1, 0, 16);
    const first = await disk.snapshot();
    await disk.write(2, 3);
    const clone = await host.call('Volume.clone', { sr, key: first });
    expect(clone.cbt_enabled).toBe(false);
    expect(await disk.refusal(first, clone.key)).toMatchObject(fullBackup);
    await host.call('Volume.enable_cbt', { sr, key: clone.key });
    fill(clone, 4, 7 * backupBlock, 1);
    expect(await disk.blocks(first, clone.key)).toEqual([7]);
    const later = await disk.snapshot();
    expect(await disk.blocks(later, clone.key)).toEqual([3, 7]);
    expect(key).not.toBe(clone.key);
  });
});

describe('the changed blocks of a disk', () => {
  it('include what was discarded and what was written as zeros', async () => {
    using host = new VolumeHost();
    const disk = await Tracked.make(host);
    await disk.write(1, 0, 16);
    const first = await disk.snapshot();
    perform(await disk.stat(), `discard ${2 * backupBlock} ${2 * backupBlock}`);
    perform(await disk.stat(), `write -z ${7 * backupBlock} 4096`);
    perform(await disk.stat(), `write -P 1 ${12 * backupBlock} 512`);
    expect(await disk.blocks(first, disk.key)).toEqual([2, 3, 7, 12]);
  });

  it('include all that was flushed by who was killed, who leaves no answer in doubt', async () => {
    using host = new VolumeHost();
    const disk = await Tracked.make(host);
    await disk.write(1, 0, 16);
    const first = await disk.snapshot();
    const data = read(await disk.stat(first));
    const killed = dieAfter(await disk.stat(), [
      `write -P 9 ${4 * backupBlock} 4096`,
      `discard ${8 * backupBlock} ${2 * backupBlock}`,
      'flush',
      `write -P 9 ${12 * backupBlock} ${backupBlock}`,
    ]);
    expect(killed).toBe('SIGKILL');
    const changed = await disk.list(first, disk.key);
    expect(blocksOf(changed)).toEqual(expect.arrayContaining([4, 8, 9]));
    const now = read(await disk.stat());
    expect(updateBackup(data, now, changed).equals(now)).toBe(true);
    const next = await disk.snapshot();
    expect((await disk.list(first, next)).bitmap).toBe(changed.bitmap);
  });

  it('include what is behind the end of the first, also in its last block', async () => {
    using host = new VolumeHost();
    const disk = await Tracked.make(host);
    const { sr, key } = disk;
    const small = await host.call('Volume.create', {
      sr,
      name: '',
      description: '',
      size: 66_048n,
      sharable: false,
    });
    await host.call('Volume.enable_cbt', { sr, key: small.key });
    fill(small, 1, 0, 512);
    const { key: first } = await host.call('Volume.snapshot', { sr, key: small.key });
    await host.call('Volume.resize', { sr, key: small.key, new_size: 5n * 65_536n + 512n });
    expect(await disk.blocks(first, small.key)).toEqual([1, 2, 3, 4, 5]);
    expect(await disk.blocks(small.key === key ? key : first, first)).toEqual([]);
  });

  it('are told for any part of it, from the block in which it begins', async () => {
    using host = new VolumeHost();
    const disk = await Tracked.make(host);
    await disk.write(1, 0, 16);
    const first = await disk.snapshot();
    await disk.write(2, 3, 2);
    await disk.write(2, 14);
    const at = (block: number): bigint => BigInt(block * backupBlock);
    expect(blocksOf(await disk.list(first, disk.key, at(3) + 5n, -1))).toEqual([0, 1, 11]);
    expect((await disk.list(first, disk.key)).bitmap).toBe(
      Buffer.of(0b00011000, 0b00000010).toString('base64'),
    );
    expect(blocksOf(await disk.list(first, disk.key, at(4), 1))).toEqual([0]);
    expect(blocksOf(await disk.list(first, disk.key, at(5), 3 * backupBlock))).toEqual([]);
    expect((await disk.list(first, disk.key, size, -1)).bitmap).toBe('');
    const beyond = { sr: disk.sr, key: first, key2: disk.key, offset: size + 1n, length: -1 };
    expect((await host.failure('Volume.list_changed_blocks', beyond)).params[0]).toBe('InvalidRange');
  });

  it('are refused where only a full backup helps', async () => {
    using host = new VolumeHost();
    const disk = await Tracked.make(host);
    const { sr, key } = disk;
    await disk.write(1, 0, 16);
    const first = await disk.snapshot();
    const other = await host.makeVolume(size);
    await host.call('Volume.enable_cbt', { sr, key: other.key });
    fill(other, 1, 0, 4096);
    const unrelated = await host.call('Volume.snapshot', { sr, key: other.key });
    expect(await disk.refusal(unrelated.key, key)).toMatchObject(fullBackup);
    expect(await disk.refusal(key, first)).toMatchObject(fullBackup);

    // All images are gone in between.
    await disk.dataDestroy(unrelated.key);
    await disk.destroy(other.key);
    expect(await disk.stat(unrelated.key)).toMatchObject({ volume_type: ['CBT_Metadata', null] });
    expect(await disk.refusal(unrelated.key, key)).toMatchObject(fullBackup);

    await host.call('Volume.disable_cbt', { sr, key });
    expect(await disk.refusal(first, key)).toMatchObject(fullBackup);
    const untracked = await disk.snapshot();
    expect(await disk.stat(untracked)).toMatchObject({ cbt_enabled: false });
    expect(await disk.refusal(untracked, first)).toMatchObject(fullBackup);
    expect((await disk.refusal('absent', first)).params).toEqual(['Volume_does_not_exist', 'absent']);
  });

  it('are refused where what is recorded of them is damaged', async () => {
    using host = new VolumeHost();
    const disk = await Tracked.make(host);
    await disk.write(1, 0, 16);
    const first = await disk.snapshot();
    await disk.write(2, 3);
    const second = await disk.snapshot();
    await host.call('Volume.revert', { sr: disk.sr, snapshot: first, key: disk.key });
    await disk.dataDestroy(second);
    expect(await disk.blocks(second, disk.key)).toEqual([3]);
    const database = new DatabaseSync(join(host.path, 'catalog.sqlite'));
    database.prepare("UPDATE cbt_metadata SET changed = x'0102'").run();
    database.close();
    expect(await disk.refusal(second, disk.key)).toMatchObject(fullBackup);
    // Nobody is kept from destroying it.
    await disk.destroy(second);
  });

  it('are refused while its disk runs, and those between its snapshots are not', async () => {
    using host = new VolumeHost();
    const disk = await Tracked.make(host);
    await disk.write(1, 0, 16);
    const first = await disk.snapshot();
    await disk.write(2, 3);
    const second = await disk.snapshot();
    await disk.write(2, 5);
    const running = imageOf(await disk.stat());
    const lock = ['flock', ['--exclusive', running, 'sleep', '60']] as const;
    const { spawn } = await import('node:child_process');
    const holder = spawn(lock[0], [...lock[1]], { stdio: 'ignore', detached: true });
    host.defer(() => process.kill(-(holder.pid as number)));
    while (isFree(running)) await new Promise((resolve) => setTimeout(resolve, 20));
    expect((await disk.refusal(first, disk.key)).params[0]).toBe('VolumeInUse');
    expect(await disk.blocks(first, second)).toEqual([3]);
    await disk.dataDestroy(first);
    expect(await disk.blocks(first, second)).toEqual([3]);
    // Tracking is of the images, not of who writes to them.
    await host.call('Volume.disable_cbt', { sr: disk.sr, key: disk.key });
    await host.call('Volume.enable_cbt', { sr: disk.sr, key: disk.key });
  });
});

function isFree(file: string): boolean {
  try {
    execFileSync('flock', ['--exclusive', '--nonblock', file, 'true']);
    return true;
  } catch {
    return false;
  }
}

describe('what cannot be tracked', () => {
  it('is refused in words', async () => {
    using host = new VolumeHost();
    const disk = await Tracked.make(host);
    const { sr } = disk;
    await disk.write(1, 0, 16);
    const snapshot = await disk.snapshot();
    const sharable = await host.makeVolume(size, true);
    const why = async (
      call: 'Volume.enable_cbt' | 'Volume.disable_cbt' | 'Volume.data_destroy' | 'Volume.clone',
      key: string,
    ): Promise<string | undefined> => (await host.failure(call, { sr, key })).params[0];
    expect(await why('Volume.enable_cbt', snapshot)).toBe('ReadOnlyVolume');
    expect(await why('Volume.disable_cbt', snapshot)).toBe('ReadOnlyVolume');
    expect(await why('Volume.enable_cbt', sharable.key)).toBe('SharableVolume');
    expect(await why('Volume.enable_cbt', 'absent')).toBe('Volume_does_not_exist');
    expect(await why('Volume.data_destroy', disk.key)).toBe('NoSnapshot');
    expect(await why('Volume.data_destroy', 'absent')).toBe('Volume_does_not_exist');
    await host.call('Volume.disable_cbt', { sr, key: disk.key });
    const untracked = await disk.snapshot();
    expect(await why('Volume.data_destroy', untracked)).toBe('CbtDisabled');
    await disk.dataDestroy(snapshot);
    for (const call of ['Volume.enable_cbt', 'Volume.disable_cbt', 'Volume.clone'] as const) {
      expect(await why(call, snapshot)).toBe('DataDestroyed');
    }
  });
});

describe('what xapi does for a backup by changed blocks', () => {
  it('gives the data of each snapshot, from the first in full and what changed since', async () => {
    using host = new VolumeHost();
    using other = new VolumeHost(host);
    const sr = await host.makeSr({ 'image-format': 'qcow2' });
    await other.attachSr();
    // The disk runs on another host each time.
    const [one, two] = [host, other].map((on) => new StorageScript(on)) as [StorageScript, StorageScript];
    const { key } = await one.create('a disk', 'user', size);
    await one.enableCbt(key);
    let backup: { readonly key: string; readonly data: Buffer } | undefined;
    for (let round = 0; round < 5; round++) {
      const xapi = round % 2 === 0 ? one : two;
      fill(await host.call('Volume.stat', { sr, key }), round + 1, round * 2 * backupBlock, 3 * backupBlock);
      if (round === 2) await xapi.resize(key, 2n * size);
      const snapshot = await xapi.snapshot(key, { type: 'user', contentId: '' });
      expect(snapshot.cbtEnabled).toBe(true);
      const data = read(await host.call('Volume.stat', { sr, key: snapshot.key }));
      if (backup !== undefined) {
        const bitmap = await xapi.listChangedBlocks(backup.key, snapshot.key);
        const changed = { granularity: backupBlock, bitmap };
        if (round !== 2) expect(blocksOf(changed)).toHaveLength(3);
        expect(updateBackup(backup.data, data, changed).equals(data)).toBe(true);
        await xapi.destroy(backup.key);
      }
      await xapi.dataDestroy(snapshot.key);
      backup = { key: snapshot.key, data };
      // One more than the disk itself would have: what the next snapshot is compared with.
      await collectGarbage(host);
      expect(host.images()).toHaveLength(2);
      checkConsistent(host);
    }
    const listed = await two.scan();
    expect(listed).toHaveLength(2);
    expect(listed.find((vdi) => vdi.key === backup?.key)).toMatchObject({
      type: 'cbt_metadata',
      cbtEnabled: true,
      isSnapshot: true,
      snapshotOf: key,
    });
    await one.destroy(backup?.key ?? '');
    await one.destroy(key);
    expect(host.images()).toEqual([]);
  });
});
