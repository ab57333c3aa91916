import { describe, expect, it } from 'vitest';
import { imageOf, VolumeHost } from '../support/volume-host.ts';
import type { CallFailed } from '../support/xapi.ts';

describe('several processes at once', () => {
  it('lose no update', async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr();
    const common = await host.makeVolume();
    const workers = 6;
    const rounds = 5;
    await Promise.all(
      Array.from({ length: workers }, async (_unused, worker) => {
        for (let round = 0; round < rounds; round++) {
          const { key } = await host.makeVolume();
          await host.call('Volume.set', { sr, key: common.key, k: `${worker}.${round}`, v: 'set' });
          await host.call('Volume.set_name', { sr, key, new_name: `${worker}.${round}` });
          if (round % 2 === 1) await host.call('Volume.destroy', { sr, key });
        }
      }),
    );
    const volumes = await host.call('SR.ls', { sr });
    const expected = Array.from({ length: workers }, (_unused, worker) =>
      Array.from({ length: rounds }, (_none, round) => `${worker}.${round}`),
    ).flat();
    expect(
      volumes
        .map(({ name }) => name)
        .filter((name) => name !== common.name)
        .sort(),
    ).toEqual(expected.filter((name) => Number(name.split('.')[1]) % 2 === 0).sort());
    const { keys } = await host.call('Volume.stat', { sr, key: common.key });
    expect(Object.keys(keys).sort()).toEqual(expected.sort());
    expect(volumes.map((volume) => imageOf(volume).replace(/.*\//, '')).sort()).toEqual(host.images());
  });

  it('that destroy one SR or volume all succeed', async () => {
    using host = new VolumeHost();
    const sr = await host.makeSr();
    const { key } = await host.makeVolume();
    await Promise.all(Array.from({ length: 4 }, () => host.call('Volume.destroy', { sr, key })));
    const results = await Promise.allSettled(
      Array.from({ length: 5 }, () => host.call('SR.destroy', { sr })),
    );
    // Who comes when all is over is told that there is no such SR, as ever.
    const failures = results.flatMap((result) =>
      result.status === 'rejected' ? [(result.reason as CallFailed).params] : [],
    );
    expect(failures.every(([kind]) => kind === 'Sr_not_attached')).toBe(true);
    expect(failures.length).toBeLessThan(5);
    expect((await host.failure('SR.stat', { sr })).params[0]).toBe('Sr_not_attached');
  });
});
