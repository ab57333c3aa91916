import { describe, expect, it } from 'vitest';
import type { Gfs2Superblock } from '../../layout/gfs2-superblock.ts';
import type { Label } from '../../layout/label.ts';
import type { Content } from '../../probe/content.ts';
import { type Applicant, admit } from './admission.ts';

const uuid = '3e6bd05e-7d3a-4f18-8b93-5f1f4bb04a2e';
const other = '00000000-0000-4000-8000-000000000001';
const scsiId = '36001405aa';
const label = (changes: Partial<Label> = {}): Label => ({
  ...{ uuid, name: 'store', description: '', clusterName: 'pool', scsiId },
  ...{ totalSpace: 1n, freeSpace: 1n },
  ...changes,
});
const superblock = (lockTable: string): Gfs2Superblock => ({
  ...{ blockSize: 4096, lockProtocol: 'lock_dlm', uuid, lockTable },
});
const sr = (changes: Partial<Label> = {}): Content => ({
  ...{ kind: 'sr', label: label(changes), superblock: superblock('pool:3e6bd05e7d3a4f18') },
});
const gfs2 = (lockTable: string): Content => ({
  ...{ kind: 'other', what: 'a gfs2 filesystem', superblock: superblock(lockTable) },
});
const unfinished: Content = {
  kind: 'unfinished',
  label: label({ uuid: other, state: 'creating' }),
  superblock: superblock('pool:unfinished'),
};

/** The admission, or the kind of the refusal with its sentence. */
function decide(content: Content, changes: Partial<Applicant> = {}): string {
  const applicant = { uuid, scsiId, cluster: 'pool', force: false, content, mountedOn: [], ...changes };
  try {
    return admit(applicant);
  } catch (error) {
    return `${(error as Error).name}: ${(error as Error).message}`;
  }
}

describe('SR.create', () => {
  it('takes a blank LUN', () => expect(decide({ kind: 'blank' })).toBe('make'));

  it('is done where the SR is there already, also while it is attached', () => {
    expect(decide(sr())).toBe('there');
    const use = { mountedOn: ['host2'], obstacle: 'it is in use: one host has registered a key' };
    expect(decide(sr(), use)).toBe('there');
  });

  it('takes over what died, also for another SR', () => expect(decide(unfinished)).toBe('take-over'));

  it.each<[string, Content, RegExp]>([
    ['another SR', sr({ uuid: other }), /carries SR "store".*force=true into the device-config\.$/],
    ['a copy of this SR', sr({ scsiId: '36001405bb' }), /carries a copy of SR "store".*36001405bb/],
    ['a filesystem', { kind: 'other', what: 'an XFS filesystem' }, /carries an XFS filesystem/],
    ['a gfs2 of another cluster', gfs2('far:x'), /force=true.*no host of cluster "far" has it mounted\.$/],
    ['a gfs2 of this cluster', gfs2('pool:x'), /force=true into the device-config\.$/],
  ])('refuses %s until a person says force', (_, content, said) => {
    expect(decide(content)).toMatch(/^LunNotEmpty/);
    expect(decide(content)).toMatch(said);
    expect(decide(content, { force: true })).toBe('make');
  });

  it.each<[string, Content]>([
    ['another SR', sr({ uuid: other })],
    ['an unfinished one', unfinished],
    ['a gfs2', gfs2('pool:x')],
  ])('never takes %s that hosts have mounted', (_, content) => {
    const said = decide(content, { force: true, mountedOn: ['host2', 'host3'] });
    expect(said).toMatch(/^LunInUse.*mounted on host2, host3/);
  });

  it('never takes a LUN that has an obstacle', () => {
    const obstacle = 'it is write-protected on the array';
    for (const content of [{ kind: 'blank' }, unfinished, sr({ uuid: other })] as const) {
      expect(decide(content, { force: true, obstacle })).toMatch(/^LunUnusable.*write-protected/);
    }
  });
});
