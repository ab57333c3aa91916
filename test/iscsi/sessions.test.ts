import { afterAll, describe, expect, it } from 'vitest';
import { FakeSys } from './fake-sys.ts';

const naa = '60014054ec6ff55d62f5073eff873a88';
const other = '60014056c0f0682d2815b5352875f090';
const iqn = 'iqn.2026-11.org.example:pool';
const sys = new FakeSys([
  {
    id: 1,
    iqn,
    address: '10.0.0.1',
    disks: [
      { name: 'sda', lun: 1, naa },
      { name: 'sdb', lun: 20, naa: other },
    ],
  },
  {
    id: 2,
    iqn,
    address: '2001:DB8::1',
    state: 'FAILED',
    disks: [{ name: 'sdc', lun: 1, naa, state: 'blocked' }],
  },
  { id: 10, iqn: iqn.toUpperCase(), address: '10.0.0.3', recoveryTimeout: '120' },
  {
    id: 11,
    iqn: 'iqn.2026-11.org.example:else',
    address: '10.0.0.1',
    disks: [{ name: 'sdd', lun: 1, naa: other }],
  },
]);
process.env.GFS2_SR_SYS_DIR = sys.folder;
const { listPaths, listSessions, pathsHealth, waitForPaths } = await import(
  '../../volume/iscsi/kernel/index.ts'
);
afterAll(() => sys[Symbol.dispose]());

describe('sessions of the kernel', () => {
  it('are those with a target, however its name is spelled', () => {
    expect(listSessions(iqn).map(({ id }) => id)).toEqual([1, 2, 10]);
    expect(listSessions().map(({ id }) => id)).toEqual([1, 2, 10, 11]);
  });

  it('tell their portal, and how long I/O waits for them', () => {
    expect(listSessions(iqn)).toMatchObject([
      { address: '10.0.0.1', port: 3260, tpgt: 1, state: 'LOGGED_IN', recoveryTimeout: -1 },
      { address: '2001:DB8::1', state: 'FAILED' },
      { recoveryTimeout: 120 },
    ]);
  });
});

describe('uses of a disk', () => {
  it('are what is on top of its multipath map, and not the map itself', async () => {
    const { usesOf } = await import('../../volume/iscsi/kernel/users.ts');
    sys.addMap('dm-1', 'map', 'mpath-36001', ['sda', 'sdc']);
    expect(usesOf('sda', new Map())).toEqual([]);
    sys.addMap('dm-10', 'group-volume', 'LVM-x', ['dm-1']);
    expect(usesOf('sda', new Map())).toEqual(['the device group-volume']);
    expect(usesOf('sda', new Map([['dm-1', ['process 7 (dd)']]]))).toContain('process 7 (dd)');
  });
});

describe('paths to a LUN', () => {
  it('are the disks with its SCSI id', () => {
    expect(listPaths(`3${naa}`)).toMatchObject([
      { device: '/dev/sda', session: { id: 1 }, lun: 1n, state: 'running' },
      { device: '/dev/sdc', session: { id: 2 }, lun: 1n, state: 'blocked' },
    ]);
    expect(listPaths(`3${other}`).map(({ device }) => device)).toEqual(['/dev/sdb', '/dev/sdd']);
  });

  it('that do not work are told one by one', () => {
    const portals = ['10.0.0.1', '2001:db8::1', '10.0.0.3', '10.0.0.4', '10.0.0.1'];
    const target = { iqn, portals: portals.map((address) => ({ address, port: 3260 })) };
    const { working, lost } = pathsHealth([target], `3${naa}`);
    expect(working).toBe(1);
    expect(lost).toEqual([
      `the session with ${iqn} over portal [2001:db8::1]:3260 is lost and being made anew`,
      `portal 10.0.0.3:3260 of ${iqn} does not show the LUN`,
      `portal 10.0.0.4:3260 of ${iqn} is not logged in to`,
    ]);
  });

  it('of nobody are not waited for beyond the limit', async () => {
    await expect(waitForPaths(['iqn.2026-11.org.example:none'], `3${naa}`, 0)).rejects.toThrow(
      'There is no session with iqn.2026-11.org.example:none',
    );
  });
});
