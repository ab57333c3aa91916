import { expect, it } from 'vitest';
import type { Gfs2Superblock } from '../../layout/gfs2-superblock.ts';
import type { Label } from '../../layout/label.ts';
import type { Content } from '../../probe/content.ts';
import { recogniseSr } from './recognise.ts';

const uuid = '3e6bd05e-7d3a-4f18-8b93-5f1f4bb04a2e';
const expected = { uuid, scsiId: '36001405aa', cluster: 'pool' };
const label: Label = {
  ...{ uuid, name: 'store', description: '', clusterName: 'pool', scsiId: '36001405aa' },
  ...{ totalSpace: 1n, freeSpace: 1n },
};
const superblock: Gfs2Superblock = {
  ...{ blockSize: 4096, lockProtocol: 'lock_dlm', lockTable: 'pool:3e6bd05e7d3a4f18', uuid },
};

function said(content: Content): string {
  try {
    return recogniseSr(content, expected, '/dev/sdb').lockTable;
  } catch (error) {
    return `${(error as Error).name}: ${(error as Error).message}`;
  }
}

it('recognises its SR, also one that SR.destroy has to finish', () => {
  expect(said({ kind: 'sr', label, superblock })).toBe('pool:3e6bd05e7d3a4f18');
  expect(said({ kind: 'unfinished', label: { ...label, state: 'destroying' }, superblock })).toBe(
    'pool:3e6bd05e7d3a4f18',
  );
});

it.each<[string, Content, RegExp]>([
  ['nothing', { kind: 'blank' }, /^SRMissing.*\/dev\/sdb.*carries nothing/],
  ['something else', { kind: 'other', what: 'an XFS filesystem' }, /^SRMissing.*an XFS filesystem/],
  [
    'another SR',
    { kind: 'sr', label: { ...label, uuid: crypto.randomUUID() }, superblock },
    /^SRMissing.*carries SR "store"/,
  ],
  [
    'a copy',
    { kind: 'sr', label: { ...label, scsiId: '36001405bb' }, superblock },
    /^SRIsACopy.*copy of SR "store".*lives on LUN 36001405bb/,
  ],
  [
    "another cluster's",
    { kind: 'sr', label, superblock: { ...superblock, lockTable: 'far:3e6bd05e7d3a4f18' } },
    /^WrongCluster.*cluster "far".*cluster "pool"/,
  ],
  [
    "a single host's",
    { kind: 'sr', label, superblock: { ...superblock, lockProtocol: 'lock_nolock' } },
    /^WrongCluster.*lock_nolock/,
  ],
  [
    'a half-made one',
    { kind: 'unfinished', label: { ...label, state: 'creating' }, superblock },
    /^SRMissing.*unfinished SR\.create/,
  ],
  [
    'a half-destroyed one whose filesystem is gone',
    { kind: 'unfinished', label: { ...label, state: 'destroying' } },
    /^SRMissing.*filesystem is gone/,
  ],
])('refuses %s', (_, content, refusal) => {
  expect(said(content)).toMatch(refusal);
});
