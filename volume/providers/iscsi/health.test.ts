import { describe, expect, it } from 'vitest';
import { judge, type StorageState } from './health.ts';

const well: StorageState = {
  mounted: true,
  withdrawn: false,
  waits: undefined,
  paths: { working: 3, idle: 0, lost: [] },
  unreachableSince: undefined,
};
const portal = 'the session with iqn.a:b over portal 10.0.0.1:3260 is lost and being made anew';
const since = '2026-01-02T03:04:05Z';

describe('judge', () => {
  it.each<[string, Partial<StorageState>, RegExp]>([
    ['well', {}, /^Healthy: $/],
    [
      'one path of three lost',
      { paths: { working: 2, idle: 0, lost: [portal] } },
      /^Healthy: .*10\.0\.0\.1:3260 is lost/,
    ],
    [
      'all paths lost',
      { paths: { working: 0, idle: 0, lost: [portal] }, unreachableSince: since },
      /^Unreachable: No path .* since 2026-01-02T03:04:05Z.*10\.0\.0\.1:3260 is lost/,
    ],
    [
      'the path lost that is mounted, without multipath',
      { paths: { working: 0, idle: 2, lost: [portal] }, unreachableSince: since },
      /^Unreachable: The one path .* since 2026-01-02T03:04:05Z.*multipathd.*10\.0\.0\.1:3260 is lost/,
    ],
    [
      'a fence is waited for',
      { waits: 'The locks of the SR wait until host3 is fenced' },
      /^Recovering: .*until host3 is fenced/,
    ],
    [
      'a fence and a path are waited for',
      { waits: 'The locks wait until host3 is fenced', paths: { working: 0, idle: 0, lost: [portal] } },
      /^Unreachable: .*10\.0\.0\.1:3260 is lost.*until host3 is fenced/,
    ],
    ['cut off', { withdrawn: true, paths: { working: 0, idle: 0, lost: [portal] } }, /^Unavailable: .*reset/],
    ['not mounted', { mounted: false }, /^Unreachable: .*attach it again/],
  ])('%s', (_, change, said) => {
    const { health, usable } = judge({ ...well, ...change });
    expect(health.join(': ')).toMatch(said);
    expect(usable).toBe(health[0] === 'Healthy');
  });
});
