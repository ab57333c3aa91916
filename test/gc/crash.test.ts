/** A merge, killed between any two of its steps, on trees of each kind; another host comes next, and may die as well. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mergeFaultPoints } from '../../volume/gc/fault-points.ts';
import { checkConsistent } from '../support/consistency.ts';
import { fill, runs } from '../support/disk.ts';
import { needsBlktap } from '../support/vhd.ts';
import { VolumeHost } from '../support/volume-host.ts';
import { collectGarbage, dieCollecting } from './collector.ts';

const size = 1n << 20n;

/** What is merged: a volume's own image, or one that others build on. */
const kinds = ['leaf', 'inner', 'snapshot'] as const;

/** By the root's format, how a merge into it ends. */
const ends = { qcow2: 'replace', raw: 'move', vhd: 'move' } as const;

const matrix = (format: keyof typeof ends) =>
  kinds.flatMap((kind) =>
    mergeFaultPoints[ends[format]]
      // Only an inner image has children whose headers change.
      .filter((fault) => kind === 'inner' || !fault.startsWith('merge.rebased'))
      .map((fault) => ({ kind, fault })),
  );

let tried = 0;
afterAll(() => console.log(`${tried} crashes of merges tried`));

describe.each([
  { format: 'qcow2', needs: '' },
  { format: 'raw', needs: '' },
  { format: 'vhd', needs: needsBlktap },
] as const)('on trees with a root of $format$needs', ({ format, needs }) => {
  const host = new VolumeHost();
  const other = new VolumeHost(host);
  const sr = host.uuid;
  beforeAll(async () => {
    if (needs !== '') return;
    await host.makeSr({ 'image-format': format });
    await other.attachSr();
  });
  afterAll(() => {
    other[Symbol.dispose]();
    host[Symbol.dispose]();
  });

  const stat = (key: string) => host.call('Volume.stat', { sr, key });
  const snapshot = async (key: string): Promise<string> =>
    (await host.call('Volume.snapshot', { sr, key })).key;

  /** Makes a tree in which one image can be merged. */
  async function makeTree(kind: (typeof kinds)[number]): Promise<void> {
    const { key } = await host.makeVolume(size);
    fill(await stat(key), 1, 0, 131_072);
    const passing = await snapshot(key);
    fill(await stat(key), 2, 65_536, 131_072);
    if (kind !== 'leaf') {
      const kept = await snapshot(key);
      if (kind === 'inner') {
        const { key: clone } = await host.call('Volume.clone', { sr, key: kept });
        fill(await stat(clone), 3, 4096, 4096);
        fill(await stat(key), 4, 8192, 4096);
      } else {
        await host.call('Volume.destroy', { sr, key });
      }
    }
    await host.call('Volume.destroy', { sr, key: passing });
  }

  async function contents(on: VolumeHost): Promise<ReadonlyMap<string, string>> {
    const volumes = await on.call('SR.ls', { sr });
    return new Map(volumes.map((volume) => [volume.key, runs(volume)]));
  }

  it.skipIf(needs !== '').each(matrix(format))(
    'the merge of a $kind killed at $fault is done by the next',
    async ({ kind, fault }) => {
      await makeTree(kind);
      const before = await contents(host);
      await dieCollecting(host, fault);
      tried++;
      // Read by who only reads, and changed by who knows nothing of merges.
      expect(await contents(other)).toEqual(before);
      await other.call('SR.set_name', { sr, new_name: 'another name' });
      expect(await contents(other)).toEqual(before);
      for (const again of ['settle.removed', 'settle.marked', fault]) {
        await dieCollecting(other, again).catch(() => undefined);
      }
      await collectGarbage(other);
      expect(await contents(other)).toEqual(before);
      checkConsistent(host);
      expect(host.images()).toHaveLength(kind === 'inner' ? 3 : 1);
      for (const key of before.keys()) await other.call('Volume.destroy', { sr, key });
      expect(host.images()).toEqual([]);
    },
  );

  it.skipIf(needs !== '').each(matrix(format))(
    'the volumes can be destroyed after the merge of a $kind was killed at $fault',
    async ({ kind, fault }) => {
      await makeTree(kind);
      const before = await contents(host);
      await dieCollecting(host, fault);
      for (const key of before.keys()) await other.call('Volume.destroy', { sr, key });
      await other.call('SR.set_name', { sr, new_name: 'another name' });
      checkConsistent(host);
      expect(host.images()).toEqual([]);
    },
  );
});
