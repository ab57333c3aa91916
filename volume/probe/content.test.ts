import { execFileSync } from 'node:child_process';
import { mkdtempSync, openSync, readSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { unfinishedFilesystem } from '../layout/gfs2-superblock.ts';
import { encodeLabel, type Label, labelLength, labelOffset } from '../layout/label.ts';
import { type Content, describeContent, recogniseContent, regions } from './content.ts';

const directory = mkdtempSync(join(tmpdir(), 'content-'));
afterAll(() => rmSync(directory, { recursive: true }));

const uuid = '3e6bd05e-7d3a-4f18-8b93-5f1f4bb04a2e';
const label: Label = {
  ...{ uuid, name: 'store', description: '', clusterName: 'pool', scsiId: '36001405aa' },
  ...{ totalSpace: 1n, freeSpace: 1n },
};

/** What a LUN carries that mkfs.gfs2 has made, with a label. */
function contentOf(lockTable: string | undefined, written: Label | undefined): Content {
  const file = join(directory, 'lun');
  writeFileSync(file, '');
  truncateSync(file, 64 * 1024 * 1024);
  if (lockTable !== undefined) {
    const options = ['-j', '1', '-J', '8', '-p', 'lock_dlm', '-t', lockTable, '-U', uuid];
    execFileSync('mkfs.gfs2', ['-O', '-q', ...options, file], { stdio: 'ignore' });
  }
  const fd = openSync(file, 'r');
  const [start, region] = [regions.start, regions.label].map(([offset, length]) => {
    const bytes = new Uint8Array(length);
    readSync(fd, bytes, 0, length, offset);
    return bytes;
  }) as [Uint8Array, Uint8Array];
  if (written !== undefined) {
    const { offset, bytes } = encodeLabel(region.subarray(0, labelLength), written);
    region.set(bytes, offset - labelOffset);
  }
  return recogniseContent(start, region);
}

describe('a LUN on which SR.create died carries no SR', () => {
  it.each<[string, string | undefined, Label | undefined]>([
    ['when it had claimed the LUN', undefined, { ...label, state: 'creating' }],
    ['over an old filesystem', 'other:fs', { ...label, uuid: crypto.randomUUID(), state: 'creating' }],
    ['just when mkfs.gfs2 had ended', `pool:${unfinishedFilesystem}`, undefined],
    ['with all done but the last label', 'pool:3e6bd05e7d3a4f18', { ...label, state: 'creating' }],
  ])('%s', (_, lockTable, written) => {
    const content = contentOf(lockTable, written);
    expect(content.kind).toBe('unfinished');
    expect(describeContent(content)).toMatch(/^an unfinished SR\.create/);
  });
});

it('an SR that SR.destroy takes apart is none either', () => {
  const content = contentOf('pool:3e6bd05e7d3a4f18', { ...label, state: 'destroying' });
  expect(describeContent(content)).toBe(`an unfinished SR.destroy of SR "store" (${uuid})`);
});

it('a finished SR is one, and a filesystem without a label is a stranger', () => {
  expect(contentOf('pool:3e6bd05e7d3a4f18', label).kind).toBe('sr');
  const stranger = contentOf('pool:3e6bd05e7d3a4f18', undefined);
  expect(stranger.kind).toBe('other');
  expect(describeContent(stranger)).toContain('pool:3e6bd05e7d3a4f18');
});
