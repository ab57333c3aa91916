import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { journalCount, journalSize, leastSrSize } from './journals.ts';

const directory = mkdtempSync(join(tmpdir(), 'journals-'));
afterAll(() => rmSync(directory, { recursive: true }));

const MiB = 1_048_576n;
const GiB = 1024n * MiB;

it.each([
  ['the smallest LUN', leastSrSize, 8],
  ['a small one', 16n * GiB, 32],
  ['one that is no whole number of anything', 16n * GiB - 4096n, 31],
  ['a big one', 64n * GiB, 128],
  ['the biggest', 1n << 60n, 128],
])('journals fit %s', (_, bytes, expected) => {
  expect(journalSize(bytes)).toBe(expected);
});

it('mkfs.gfs2 can make them on the smallest LUN, and leaves most of it for volumes', () => {
  const file = join(directory, 'lun');
  writeFileSync(file, '');
  truncateSync(file, Number(leastSrSize));
  const journals = ['-j', String(journalCount), '-J', String(journalSize(leastSrSize))];
  execFileSync('mkfs.gfs2', ['-O', '-q', '-p', 'lock_dlm', '-t', 'pool:sr', ...journals, file], {
    stdio: 'ignore',
  });
  expect(BigInt(journalCount * journalSize(leastSrSize)) * MiB).toBeLessThan(leastSrSize / 2n);
});
