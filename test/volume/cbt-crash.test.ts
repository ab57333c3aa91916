/** What is known of changed blocks, after calls and merges were killed between any two of their steps. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { CallName, Parameters } from '../../src/smapi/interface.ts';
import { mergeFaultPoints } from '../../volume/gc/fault-points.ts';
import { collectGarbage, dieCollecting } from '../gc/collector.ts';
import { backupBlock, blocksOf } from '../support/changed-blocks.ts';
import { checkConsistent } from '../support/consistency.ts';
import { fill } from '../support/disk.ts';
import { VolumeHost } from '../support/volume-host.ts';

const size = 1n << 20n;

let tried = 0;
afterAll(() => console.log(`${tried} crashes tried`));

describe.each(['raw', 'qcow2'] as const)('on trees of %s', (format) => {
  const host = new VolumeHost();
  const other = new VolumeHost(host);
  const sr = host.uuid;
  beforeAll(async () => {
    await host.makeSr({ 'image-format': format });
    await other.attachSr();
  });
  afterAll(() => {
    other[Symbol.dispose]();
    host[Symbol.dispose]();
  });
  afterEach(async () => {
    for (const { key } of await other.call('SR.ls', { sr })) await other.call('Volume.destroy', { sr, key });
    expect(host.images()).toEqual([]);
    checkConsistent(host);
  });

  async function write(key: string, first: number, count = 1): Promise<void> {
    const volume = await host.call('Volume.stat', { sr, key });
    fill(volume, first + 2, first * backupBlock, count * backupBlock);
  }
  const snapshot = async (key: string): Promise<string> =>
    (await host.call('Volume.snapshot', { sr, key })).key;
  const dataDestroy = (key: string): Promise<void> => host.call('Volume.data_destroy', { sr, key });

  /** A volume with a snapshot after each of some writes, and another write after the last. */
  async function makeVolume(
    ...blocks: readonly number[]
  ): Promise<{ key: string; snapshots: readonly string[] }> {
    const { key } = await host.makeVolume(size);
    await host.call('Volume.enable_cbt', { sr, key });
    await write(key, 0, 16);
    const snapshots: string[] = [];
    for (const block of blocks) {
      snapshots.push(await snapshot(key));
      await write(key, block);
    }
    return { key, snapshots };
  }

  async function changes(from = '', to = ''): Promise<readonly number[]> {
    const parameters = { sr, key: from, key2: to, offset: 0n, length: -1 };
    return blocksOf(await other.call('Volume.list_changed_blocks', parameters));
  }

  async function die<N extends CallName>(fault: string, call: N, parameters: object): Promise<void> {
    await host.die(fault, call, { sr, ...parameters } as unknown as Omit<Parameters<N>, 'dbg'>);
    tried++;
    for (const again of ['settle.removed', 'settle.marked']) {
      await other.die(again, 'SR.set_name', { sr, new_name: 'a name' }).catch(() => undefined);
    }
  }

  it('a snapshot keeps what changed when the removal of its data is killed', async () => {
    const { key, snapshots } = await makeVolume(3, 5, 7);
    const [first, second, third] = snapshots;
    await die('data_destroy.rows', 'Volume.data_destroy', { key: second });
    expect(await changes(second, third)).toEqual([5]);
    expect(await changes(first, second)).toEqual([3]);
    expect(await changes(second, key)).toEqual([5, 7]);
  });

  it.each(['data_destroy.rows', 'data_destroy.removed'])(
    'so does one whose image goes with it, at %s',
    async (fault) => {
      const { key, snapshots } = await makeVolume(3, 5);
      await host.call('Volume.destroy', { sr, key });
      const [first, second] = snapshots;
      await die(fault, 'Volume.data_destroy', { key: second });
      expect(await changes(second, first)).toEqual([3]);
      expect(host.images()).toHaveLength(1);
    },
  );

  it.each(['revert.intent', 'revert.made', 'revert.rows', 'revert.removed'])(
    'a snapshot without data whose image goes by a revert keeps what changed, at %s',
    async (fault) => {
      const { key, snapshots } = await makeVolume(3, 5);
      const [first, second] = snapshots;
      await dataDestroy(second ?? '');
      await die(fault, 'Volume.revert', { snapshot: first, key });
      const isDone = /rows|removed/.test(fault);
      expect(await changes(second, key)).toEqual(isDone ? [3] : [5]);
      expect(await changes(first, key)).toEqual(isDone ? [] : [3, 5]);
      expect(await changes(second, first)).toEqual([3]);
    },
  );

  it.each(['destroy.rows', 'destroy.removed', 'destroy.removed-2'])(
    'and one whose image goes with the volume, at %s',
    async (fault) => {
      const { key, snapshots } = await makeVolume(3, 5);
      const [first, second] = snapshots;
      await dataDestroy(second ?? '');
      await die(fault, 'Volume.destroy', { key });
      expect(await changes(second, first)).toEqual([3]);
      expect(host.images()).toHaveLength(1);
    },
  );

  const faults = mergeFaultPoints[format === 'raw' ? 'move' : 'replace'].filter(
    (fault) => fault !== 'merge.rebased-2',
  );
  it.each(faults)(
    'snapshots without data keep what changed when their images are merged, at %s',
    { timeout: 180_000 },
    async (fault) => {
      const { key, snapshots } = await makeVolume(3, 5, 7);
      const [first, second, third] = snapshots;
      await dataDestroy(first ?? '');
      await dataDestroy(second ?? '');
      await dieCollecting(host, fault);
      tried++;
      const check = async (): Promise<void> => {
        expect(await changes(first, third)).toEqual([3, 5]);
        expect(await changes(second, third)).toEqual([5]);
        expect(await changes(second, key)).toEqual([5, 7]);
        // Which of both it was is not known any more when their images are one.
        expect((await changes(first, second)).filter((block) => block !== 5)).toEqual([3]);
      };
      await check();
      for (const again of ['settle.removed', 'settle.marked', fault]) {
        await dieCollecting(other, again).catch(() => undefined);
      }
      await check();
      await collectGarbage(other);
      await check();
      expect(host.images()).toHaveLength(2);
      // The volume goes on, and the last of its images that is frozen is not merged with what it writes.
      await dataDestroy(third ?? '');
      await collectGarbage(other);
      expect(await changes(third, key)).toEqual([7]);
      await write(key, 9);
      expect(await changes(third, key)).toEqual([7, 9]);
      expect(await changes(first, key)).toEqual([3, 5, 7, 9]);
      expect(host.images()).toHaveLength(2);
      for (const gone of snapshots) await other.call('Volume.destroy', { sr, key: gone });
      await collectGarbage(other);
      expect(host.images()).toHaveLength(1);
    },
  );
});
