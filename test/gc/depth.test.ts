import { expect, it } from 'vitest';
import { depthLimit } from '../../volume/gc/depth.ts';
import { checkConsistent } from '../support/consistency.ts';
import { fill, read } from '../support/disk.ts';
import { VolumeHost } from '../support/volume-host.ts';
import { collectGarbage } from './collector.ts';

it('refuses snapshots and clones of a volume of as many images as may be, and takes them when it has fewer', {
  timeout: 120_000,
}, async () => {
  using host = new VolumeHost();
  const sr = await host.makeSr({ 'image-format': 'qcow2' });
  const { key } = await host.makeVolume();
  const snapshots: string[] = [];
  const change = async (): Promise<void> => {
    const volume = await host.call('Volume.stat', { sr, key });
    fill(volume, 1 + snapshots.length, snapshots.length * 4096, 8192);
  };
  for (let depth = 1; depth < depthLimit; depth++) {
    await change();
    snapshots.push((await host.call('Volume.snapshot', { sr, key })).key);
  }
  await change();
  const content = read(await host.call('Volume.stat', { sr, key }));
  const refusal = async (call: 'Volume.snapshot' | 'Volume.clone') =>
    (await host.failure(call, { sr, key })).params;
  for (const call of ['Volume.snapshot', 'Volume.clone'] as const) {
    expect(await refusal(call)).toEqual([
      'ChainTooDeep',
      expect.stringMatching(/; destroy some of its snapshots\.$/),
    ]);
  }
  expect(host.images()).toHaveLength(depthLimit);
  for (const snapshot of snapshots.slice(3, 6)) await host.call('Volume.destroy', { sr, key: snapshot });
  expect(await refusal('Volume.snapshot')).toEqual([
    'ChainTooDeep',
    expect.stringContaining('garbage collection merges 3 of them'),
  ]);
  expect(await collectGarbage(host)).toContain('3 images merged');
  const clone = await host.call('Volume.clone', { sr, key });
  expect(read(clone).equals(content)).toBe(true);
  checkConsistent(host);
});
