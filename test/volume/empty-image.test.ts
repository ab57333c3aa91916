/** Empty qcow2 images of our own, as QEMU sees them: as its own with the same options. */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { writeEmptyImage } from '../../src/qcow2/empty-image.ts';
import { readQcow2Header } from '../../src/qcow2/header.ts';
import { qcow2Options } from '../support/qcow2-options.ts';

const MiB = 1n << 20n;
const GiB = 1n << 30n;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'empty-image-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function make(name: string, size: bigint, backing?: { name: string; format: string }): string {
  const file = join(folder, name);
  const fd = openSync(file, 'wx');
  writeEmptyImage(fd, size, backing);
  closeSync(fd);
  return file;
}

function run(command: string, ...args: readonly string[]): string {
  return execFileSync(command, args, { encoding: 'utf8' });
}

/** All that qemu-img says of an image but where it is and what it takes on the disk. */
function describeImage(file: string): unknown {
  const said = JSON.parse(run('qemu-img', 'info', '-f', 'qcow2', '--output=json', file)) as Record<
    string,
    unknown
  >;
  const { filename: _, 'actual-size': __, 'full-backing-filename': ___, ...rest } = said;
  return rest;
}

it.each([512n, 4096n, MiB, GiB - 512n, GiB, GiB + 512n, 100n * GiB, 2048n * GiB, 16n << 40n])(
  'one of %s bytes is as QEMU makes it',
  (size) => {
    const file = make('ours.qcow2', size);
    const peer = join(folder, 'theirs.qcow2');
    run('qemu-img', 'create', '-q', '-f', 'qcow2', '-o', qcow2Options, peer, String(size));
    expect(describeImage(file)).toEqual(describeImage(peer));
    expect(JSON.parse(run('qemu-img', 'check', '-f', 'qcow2', '--output=json', file))).toEqual({
      ...JSON.parse(run('qemu-img', 'check', '-f', 'qcow2', '--output=json', peer)),
      filename: file,
      'image-end-offset': statSync(file).size,
    });
    expect(readQcow2Header(file)).toEqual(readQcow2Header(peer));
    expect(statSync(file).blocks).toBeLessThanOrEqual(statSync(peer).blocks);
  },
);

it.each([
  ['qcow2', 'parent.qcow2'],
  ['raw', `${'p'.repeat(200)}.raw`],
  ['raw', 'Größe größer 画像.raw'],
])('one on a parent in %s named %s is as QEMU makes it, and reads as that', (format, name) => {
  const size = 3n * GiB;
  const parent = join(folder, name);
  if (format === 'raw') {
    writeFileSync(parent, '');
    truncateSync(parent, Number(size));
  } else make(name, size);
  run('qemu-io', '-f', format, '-c', `write -P 7 ${GiB + MiB} 64k`, parent);
  const file = make('ours.qcow2', size, { name, format });
  const peer = join(folder, 'theirs.qcow2');
  run(
    'qemu-img',
    'create',
    '-q',
    '-f',
    'qcow2',
    '-o',
    qcow2Options,
    '-b',
    name,
    '-F',
    format,
    peer,
    String(size),
  );
  expect(describeImage(file)).toEqual(describeImage(peer));
  expect(readQcow2Header(file)).toEqual(readQcow2Header(peer));
  run('qemu-img', 'compare', '-f', 'qcow2', '-F', 'qcow2', file, peer);
  run('qemu-io', '-f', 'qcow2', '-c', `read -P 7 ${GiB + MiB} 64k`, file);
});

it('takes what is written to it everywhere, and can be grown', () => {
  const size = 4n << 40n;
  const file = make('ours.qcow2', size);
  const places = [0n, size / 3n, size - 65_536n].map((offset) => (offset / 512n) * 512n);
  for (const [index, offset] of places.entries())
    run('qemu-io', '-f', 'qcow2', '-c', `write -P ${index + 1} ${offset} 64k`, file);
  run('qemu-img', 'resize', '-q', '-f', 'qcow2', file, String(2n * size));
  for (const [index, offset] of places.entries())
    run('qemu-io', '-f', 'qcow2', '-c', `read -P ${index + 1} ${offset} 64k`, file);
  run('qemu-img', 'check', '-q', '-f', 'qcow2', file);
});
