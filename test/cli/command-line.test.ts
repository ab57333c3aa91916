/** The command line `gfs2-sr`, as it is installed. */
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { type Ended, installedRoot, runProcess } from '../support/xapi.ts';

const installed = join(installedRoot, 'usr/sbin/gfs2-sr');
const gfs2Sr = (words: readonly string[], program = installed): Promise<Ended> =>
  runProcess(program, words, '');

it('shows its commands', async () => {
  const { exitCode, stdout } = await gfs2Sr(['--help']);
  expect(exitCode).toBe(0);
  expect(stdout).toMatch(/^gfs2-sr cluster start\n {4}Start the cluster/m);
});

it('shows the help of one command, or of a group', async () => {
  expect((await gfs2Sr(['cluster', 'status', '--help'])).stdout).toMatch(
    /^gfs2-sr cluster status \[--json\]\n.*\n$/,
  );
  expect((await gfs2Sr(['cluster', '--help'])).stdout).toContain('gfs2-sr cluster stop');
});

it.each([
  [['cluster', 'frobnicate'], 'gfs2-sr: there is no command "cluster frobnicate"; see gfs2-sr --help\n'],
  [['cluster', 'startle'], 'gfs2-sr: there is no command "cluster startle"; see gfs2-sr --help\n'],
  [
    ['cluster', 'status', '--jsn'],
    'gfs2-sr cluster status: "--jsn" means nothing here; write: gfs2-sr cluster status [--json]\n',
  ],
  [
    ['cluster', 'set-up'],
    'gfs2-sr cluster set-up: there is no configuration on standard input; write: gfs2-sr cluster set-up < CONFIGURATION.json\n',
  ],
])('answers %j with exit code 2 and one line', async (words, line) => {
  const { exitCode, stdout, stderr } = await gfs2Sr(words);
  expect([exitCode, stdout, stderr]).toEqual([2, '', line]);
});

it('runs through a link', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'cli-'));
  try {
    symlinkSync(installed, join(folder, 'gfs2-sr'));
    expect((await gfs2Sr(['--help'], join(folder, 'gfs2-sr'))).exitCode).toBe(0);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
