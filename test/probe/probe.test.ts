/** SR.probe by whole calls, against a real tgtd. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, copyFileSync, openSync, readFileSync, readSync, truncateSync, writeSync } from 'node:fs';
import { createServer } from 'node:net';
import { login } from 'node-iscsi-initiator';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTgtd, type Tgtd } from '../../native/test/tgtd.ts';
import { encodeLabel, labelLength, labelOffset } from '../../volume/layout/label.ts';
import { ProbeHost } from './probe-host.ts';

const MiB = 1 << 20;
const disks = 'iqn.2026-11.org.example:disks';
const odd = 'iqn.2015-01.com.Example:Odd';
const guarded = 'iqn.2026-11.org.example:guarded';
const empty = 'iqn.2026-11.org.example:empty';
const forHost = 'iqn.2026-11.org.example:for-host-1';
const uuid = '3e6bd05e-7d3a-4f18-8b93-5f1f4bb04a2e';
const secret = 'S3cret$Marker&!';

const host = new ProbeHost();
let tgtd: Tgtd;
let files: Readonly<Record<number, string>>;
let portal: string;
let second: string;

/** Makes an SR on a file: gfs2, and the label that SR.create would write for a LUN with this SCSI id. */
function makeSr(file: string, scsiId: string): void {
  execFileSync(
    'mkfs.gfs2',
    ['-O', '-q', '-p', 'lock_dlm', '-t', 'pool:sr', '-j', '2', '-J', '8', '-U', uuid, file],
    { stdio: 'ignore' },
  );
  const fd = openSync(file, 'r+');
  const area = new Uint8Array(labelLength);
  readSync(fd, area, 0, area.length, labelOffset);
  const { offset, bytes } = encodeLabel(area, {
    uuid,
    name: 'shared "ß" SR',
    description: 'all of it',
    clusterName: 'pool',
    scsiId,
    totalSpace: 60_000_000n,
    freeSpace: 40_000_000n,
  });
  writeSync(fd, bytes, 0, bytes.length, offset);
  closeSync(fd);
}

/** The SCSI id that tgtd gives a LUN. */
function tgtId(tid: number, lun: number): string {
  return `360000000000000000e000000${((tid << 16) | lun).toString(16).padStart(8, '0')}`;
}

beforeAll(async () => {
  tgtd = await startTgtd();
  await tgtd.control('--op', 'new', '--mode', 'portal', '--param', `portal=127.0.0.2:${tgtd.port}`);
  portal = `127.0.0.1:${tgtd.port}`;
  second = `127.0.0.2:${tgtd.port}`;
  const tid = await tgtd.addTarget(disks);
  const made: Record<number, string> = {};
  made[20] = await tgtd.addLun(tid, { lun: 20, size: 640 * MiB, vendor: 'ACME', product: 'Twenty' });
  made[40] = await tgtd.addLun(tid, { lun: 40, size: 640 * MiB, blockSize: 4096 });
  made[60] = await tgtd.addLun(tid, { lun: 60, size: 528 * MiB, readOnly: true });
  made[61] = await tgtd.addLun(tid, { lun: 61, size: 640 * MiB });
  made[300] = await tgtd.addLun(tid, { lun: 300, size: 544 * MiB });
  files = made;
  const oddTid = await tgtd.addTarget(odd);
  await tgtd.addLun(oddTid, { lun: 1, size: 528 * MiB });
  const guardedTid = await tgtd.addTarget(guarded);
  await tgtd.addLun(guardedTid, { lun: 1, size: 528 * MiB });
  await tgtd.addChap(guardedTid, 'user', secret);
  await tgtd.addTarget(empty);
  const hostTid = await tgtd.addTarget(forHost);
  await tgtd.control('--op', 'unbind', '--mode', 'target', '--tid', `${hostTid}`, '-I', 'ALL');
  await tgtd.control('--op', 'bind', '--mode', 'target', '--tid', `${hostTid}`, '-Q', host.initiatorName);
  await tgtd.addLun(hostTid, { lun: 1, size: 528 * MiB });
});
afterAll(async () => {
  await tgtd?.stop();
  host[Symbol.dispose]();
});

describe('step 1, portals alone', () => {
  it('gives a row for each target, incomplete, with its portals', async () => {
    const rows = await host.probe({ provider: 'iscsi', ips: portal });
    expect(rows.map(({ configuration }) => configuration.iqns).toSorted()).toEqual(
      [disks, odd, guarded, empty, forHost].toSorted(),
    );
    expect(rows.find(({ configuration }) => configuration.iqns === disks)).toEqual({
      configuration: { provider: 'iscsi', ips: portal, iqns: disks },
      complete: false,
      extra_info: { portals: `${portal},1`, tpgt: '1' },
    });
  });

  it('asks every portal, since each may tell only of itself (A-02)', async () => {
    const rows = await host.probe({ ips: `${portal}, ${second},` });
    const [row] = rows.filter(({ configuration }) => configuration.iqns === disks);
    expect(row?.extra_info.portals?.split(' ').toSorted()).toEqual([`${portal},1`, `${second},1`]);
    expect(rows).toHaveLength(5);
  });

  it("answers in sm's words where it is asked in them (E-07)", async () => {
    const [row] = await host.probe({
      provider: 'iscsi',
      target: '127.0.0.1',
      port: String(tgtd.port),
      chapuser: '',
      chappassword: '',
    });
    expect(row?.configuration).toEqual({
      provider: 'iscsi',
      target: '127.0.0.1',
      port: String(tgtd.port),
      chapuser: '',
      chappassword: '',
      targetIQN: expect.stringMatching(/^iqn\./) as string,
    });
  });

  it('is not failed by one dead portal among several, and says which', async () => {
    const rows = await host.probe({ ips: `127.0.0.1:1,${portal}` });
    expect(rows).toHaveLength(5);
    expect(rows[0]?.extra_info.warnings).toMatch(/portal 127\.0\.0\.1:1: connection refused/);
  });
});

describe('step 2, with targets', () => {
  it('gives one row for each disk over all portals (A-06, A-07, A-27, A-30, E-09)', async () => {
    const rows = await host.probe({ ips: `${portal},${second}`, iqns: disks });
    expect(rows.map(({ extra_info }) => extra_info.LUNid)).toEqual(['20', '40', '60', '61', '300']);
    const labels = rows.map(({ extra_info: { LUNid, serial, size, vendor } }) =>
      [LUNid, serial, size, vendor].join(),
    );
    expect(new Set(labels).size).toBe(5);
    const [twenty, forty, sixty, , last] = rows;
    expect(twenty).toMatchObject({
      complete: true,
      configuration: { iqns: disks, ScsiId: tgtId(1, 20) },
      extra_info: {
        vendor: 'ACME',
        product: 'Twenty',
        size: String(640 * MiB),
        block_size: '512',
        read_only: 'false',
        carries: 'nothing',
        registered_keys: '',
        LUN_raw: '0014000000000000',
      },
    });
    expect(twenty?.extra_info.portals?.split(' ').toSorted()).toEqual([`${portal},1`, `${second},1`]);
    expect(forty?.extra_info.block_size).toBe('4096');
    expect(sixty).toMatchObject({
      complete: false,
      extra_info: { read_only: 'true', problem: expect.stringContaining('write-protected') as string },
    });
    expect(last?.extra_info.LUN_raw).toBe('412c000000000000');
    expect(rows.every(({ extra_info }) => extra_info.warnings === undefined)).toBe(true);
  });

  it('takes several targets in one call, each row naming its own', async () => {
    const rows = await host.probe({ ips: portal, iqns: `${disks},${odd}` });
    expect(rows.map(({ configuration }) => configuration.iqns)).toEqual([odd, ...Array(5).fill(disks)]);
  });

  it('finds a target whatever the case of its name (A-15)', async () => {
    const rows = await host.probe({ ips: portal, iqns: odd.toLowerCase() });
    expect(rows).toMatchObject([{ complete: true, configuration: { iqns: odd } }]);
  });

  it("speaks XenCenter's dialect: SCSIid, LUNid, vendor, serial, size (E-07)", async () => {
    const rows = await host.probe({
      provider: 'iscsi',
      target: '127.0.0.1',
      port: String(tgtd.port),
      targetIQN: odd,
      chapuser: '',
      chappassword: '',
    });
    expect(rows).toHaveLength(1);
    expect(rows[0]?.configuration).toMatchObject({ targetIQN: odd, SCSIid: tgtId(2, 1) });
    expect(rows[0]?.configuration).not.toHaveProperty('ScsiId');
    expect(Number(rows[0]?.extra_info.LUNid)).toBe(1);
    expect(Number(rows[0]?.extra_info.size)).toBe(528 * MiB);
  });

  it('sends the name from the file without the white space around it (A-15)', async () => {
    expect(await host.probe({ ips: portal, iqns: forHost })).toHaveLength(1);
  });

  it('tells what a LUN carries', async () => {
    const file = files[300] ?? '';
    const carried: string[] = [];
    const look = async (): Promise<void> => {
      const rows = await host.probe({ ips: portal, iqns: disks });
      carried.push(rows.at(-1)?.extra_info.carries ?? '');
    };
    const wipe = (): void => {
      truncateSync(file, 0);
      truncateSync(file, 544 * MiB);
    };
    execFileSync('mkfs.ext4', ['-q', '-F', file]);
    await look();
    wipe();
    execFileSync('mkfs.gfs2', ['-O', '-q', '-p', 'lock_nolock', '-j', '1', '-J', '8', file], {
      stdio: 'ignore',
    });
    await look();
    wipe();
    const fd = openSync(file, 'r+');
    writeSync(fd, 'EFI PART', 512);
    closeSync(fd);
    await look();
    wipe();
    execFileSync('mkswap', [file], { stdio: 'ignore' });
    await look();
    wipe();
    expect(carried).toEqual([
      'an ext2, ext3 or ext4 filesystem',
      expect.stringMatching(/^a gfs2 filesystem with lock_nolock/),
      'a GPT partition table',
      'a swap area',
    ]);
  });

  it('offers no LUN that has no room for an SR', async () => {
    await using array = await startTgtd();
    const tid = await array.addTarget(disks);
    await array.addLun(tid, { lun: 1, size: 65536 });
    await array.addLun(tid, { lun: 2, size: 640 * MiB });
    const rows = await host.probe({ ips: `127.0.0.1:${array.port}`, iqns: disks });
    expect(rows.map(({ complete }) => complete)).toEqual([false, true]);
    expect(rows[0]?.extra_info.problem).toContain('65536 bytes, too few');
  });

  it('logs out of every session, also where it fails', async () => {
    await host.probe({ ips: `${portal},${second}`, iqns: `${disks},${odd}` });
    await host.failure({ ips: portal, iqns: guarded });
    await host.failure({ ips: portal, iqns: empty });
    const targets = await tgtd.control('--op', 'show', '--mode', 'target');
    expect(targets).toContain(disks);
    expect(targets).not.toContain('I_T nexus:');
  });

  it('shows a LUN that fails with the reason, and the others as ever', async () => {
    const file = files[61] ?? '';
    truncateSync(file, 0);
    const rows = await host.probe({ ips: portal, iqns: disks });
    truncateSync(file, 640 * MiB);
    expect(rows).toHaveLength(5);
    expect(rows[3]).toMatchObject({
      complete: false,
      configuration: { ScsiId: tgtId(1, 61) },
      extra_info: { LUNid: '61', problem: expect.stringMatching(/READ\(16\) failed on LUN 61/) as string },
    });
    expect(rows.filter(({ complete }) => complete)).toHaveLength(3);
  });

  it('shows keys that hosts have registered, and that the LUN is in use', async () => {
    await using session = await login({
      portal: tgtd.portal,
      target: disks,
      initiatorName: 'iqn.2026-11.org.example:other-host',
    });
    const register = async (from: string, to: string): Promise<void> => {
      const parameters = Buffer.alloc(24);
      parameters.write(from, 0, 'hex');
      parameters.write(to, 8, 'hex');
      const cdb = Buffer.from([0x5f, 0, 0, 0, 0, 0, 0, 0, 24, 0]);
      await session.testUnitReady(20);
      await session.command(20, cdb, { dataOut: parameters });
    };
    await register('0000000000000000', '00000000abcd0001');
    const [row] = await host.probe({ ips: portal, iqns: disks });
    await register('00000000abcd0001', '0000000000000000');
    expect(row).toMatchObject({
      complete: false,
      extra_info: {
        registered_keys: '00000000abcd0001',
        problem: expect.stringContaining('in use') as string,
      },
    });
  });
});

describe('an SR', () => {
  const files4k = (): string => files[40] ?? '';

  it('is found on its LUN, on blocks of 512 and of 4096 bytes, and nothing is written', async () => {
    for (const lun of [20, 40]) {
      const file = files[lun] ?? '';
      makeSr(file, tgtId(1, lun));
      const before = digest(file);
      const rows = await host.probe({ ips: portal, iqns: disks, ScsiId: tgtId(1, lun) });
      expect(rows).toMatchObject([
        { complete: true, configuration: { ScsiId: tgtId(1, lun) } },
        {
          complete: true,
          configuration: { iqns: disks, ScsiId: tgtId(1, lun), sr_uuid: uuid },
          sr: {
            uuid,
            name: 'shared "ß" SR',
            description: 'all of it',
            total_space: 60_000_000n,
            free_space: 40_000_000n,
            clustered: true,
          },
        },
      ]);
      expect(rows[0]).not.toHaveProperty('sr');
      expect(rows[0]?.configuration).not.toHaveProperty('sr_uuid');
      expect(digest(file)).toBe(before);
      truncateSync(file, 0);
      truncateSync(file, 640 * MiB);
    }
  });

  it('is found again with the configuration that the probe answered', async () => {
    makeSr(files[20] ?? '', tgtId(1, 20));
    const rows = await host.probe({ target: '127.0.0.1', port: String(tgtd.port), targetIQN: disks });
    const found = rows.find(({ sr }) => sr?.uuid === uuid);
    const again = await host.probe(found?.configuration ?? {});
    expect(again.at(-1)).toEqual(found);
    // xapi fails the whole probe for a row that is incomplete and names an SR: here the read-only LUN.
    const { SCSIid: _, ...wide } = found?.configuration ?? {};
    expect(await host.probe(wide)).toEqual(rows);
  });

  it('is one row among the LUNs, since clients list each row as a LUN (E-09)', async () => {
    makeSr(files[20] ?? '', tgtId(1, 20));
    const rows = await host.probe({ ips: portal, iqns: disks });
    expect(rows).toHaveLength(5);
    expect(rows[0]).toMatchObject({ sr: { uuid }, extra_info: { LUNid: '20' } });
  });

  it('is not taken from a copy of its LUN (A-14)', async () => {
    makeSr(files[20] ?? '', tgtId(1, 20));
    copyFileSync(files[20] ?? '', files[61] ?? '');
    const rows = await host.probe({ ips: portal, iqns: disks });
    expect(rows.filter(({ sr }) => sr !== undefined)).toHaveLength(1);
    expect(rows[0]?.sr?.uuid).toBe(uuid);
    expect(rows[3]?.extra_info.carries).toBe(
      `a copy of SR "shared "ß" SR" (${uuid}), which is on the LUN with SCSI id ${tgtId(1, 20)}`,
    );
    const copy = await host.probe({ ips: portal, iqns: disks, ScsiId: tgtId(1, 61) });
    expect(copy).toHaveLength(1);
    expect(copy[0]).not.toHaveProperty('sr');
    truncateSync(files[61] ?? '', 0);
    truncateSync(files[61] ?? '', 640 * MiB);
  });

  it('on a write-protected LUN is shown, and that it cannot be attached', async () => {
    await using array = await startTgtd();
    const tid = await array.addTarget(disks);
    makeSr(await array.addLun(tid, { lun: 1, size: 640 * MiB, readOnly: true }), tgtId(1, 1));
    const rows = await host.probe({ ips: `127.0.0.1:${array.port}`, iqns: disks });
    expect(rows).toMatchObject([
      {
        sr: { uuid, health: ['Unreachable', expect.stringMatching(/^It is write-protected on the array\./)] },
        extra_info: { LUN: '1', problem: 'it is write-protected on the array' },
      },
    ]);
  });

  it('is no SR where its label is left without its filesystem', async () => {
    makeSr(files4k(), tgtId(1, 40));
    const fd = openSync(files4k(), 'r+');
    writeSync(fd, new Uint8Array(4096), 0, 4096, 65536);
    closeSync(fd);
    const rows = await host.probe({ ips: portal, iqns: disks, ScsiId: tgtId(1, 40) });
    expect(rows).toHaveLength(1);
    expect(rows[0]?.extra_info.carries).toMatch(/^the label of SR .* without its filesystem$/);
  });
});

describe('failures', () => {
  it('have the code that clients know, and one sentence in the place where they look (E-08)', async () => {
    const refused = await host.failure({ ips: '127.0.0.1:1' });
    expect(refused.code).toBe('SR_BACKEND_FAILURE_141');
    expect(refused.params[1]).toMatch(
      /portal 127\.0\.0\.1:1: connection refused.*; check the address and port/,
    );

    const denied = await host.failure({ ips: portal, iqns: guarded });
    expect(denied.code).toBe('SR_BACKEND_FAILURE_68');
    expect(denied.params[1]).toMatch(
      new RegExp(`log in to ${guarded} at portal ${portal}.*check chapuser.*${host.initiatorName}`),
    );

    const nameless = await host.failure({ ips: 'no-such-array.example' }, ['unshare', '-n']);
    expect(nameless.code).toBe('SR_BACKEND_FAILURE_140');
    expect(nameless.params[1]).toMatch(/no-such-array\.example:3260.*check the name in ips/);
  });

  it('name every portal where all are dead', async () => {
    const { params } = await host.failure({ ips: '127.0.0.1:1,127.0.0.1:2', iqns: disks });
    expect(params[1]).toMatch(/127\.0\.0\.1:1: .*; cannot connect to portal 127\.0\.0\.1:2: /);
  });

  it('name the first of many dead portals', async () => {
    const ips = Array.from({ length: 20 }, (_, index) => `127.0.0.1:${index + 1}`).join(',');
    const { params } = await host.failure({ ips });
    expect(params[1]).toMatch(/127\.0\.0\.1:1: .*; 14 more; check the address/);
  });

  it('say what is not there: target, LUN, disks', async () => {
    const target = await host.failure({ ips: portal, iqns: 'iqn.2026-11.org.example:none' });
    expect(target.params).toEqual([
      'NoSuchTarget',
      expect.stringMatching(/iqn\.2026-11\.org\.example:none.*probe without iqns/),
    ]);
    const lun = await host.failure({ ips: portal, iqns: odd, ScsiId: '3600' });
    expect(lun.code).toBe('SR_BACKEND_FAILURE_107');
    expect(lun.params[1]).toContain(tgtId(2, 1));
    const disk = await host.failure({ ips: portal, iqns: empty });
    expect(disk.code).toBe('SR_BACKEND_FAILURE_107');
    expect(disk.params[1]).toMatch(new RegExp(`${empty} shows no disk to ${host.initiatorName}; map a LUN`));
  });

  it('do not keep other targets from being listed', async () => {
    const rows = await host.probe({ ips: portal, iqns: `${guarded},${odd}` });
    expect(rows).toHaveLength(1);
    expect(rows[0]?.extra_info.warnings).toContain(guarded);
  });

  it('of a portal that never answers come within one deadline, and cost the others nothing (A-24)', async () => {
    const silent = createServer(() => {}).listen(0, '127.0.0.1');
    await new Promise((resolve) => silent.once('listening', resolve));
    const { port } = silent.address() as { port: number };
    const rows = await host.probe({ ips: `127.0.0.1:${port},127.0.0.1:1,${portal}`, iqns: odd });
    silent.close();
    expect(rows).toHaveLength(1);
    expect(rows[0]?.extra_info.warnings).toMatch(new RegExp(`127\\.0\\.0\\.1:${port}: no answer within`));
    expect(rows[0]?.extra_info.warnings).toContain('127.0.0.1:1');
  }, 15_000);
});

describe('IPv6', () => {
  it('works from discovery to LUNs, in brackets both ways (A-05)', async () => {
    await using six = await startTgtd('::1');
    const tid = await six.addTarget(disks);
    await six.addLun(tid, { lun: 1, size: 528 * MiB });
    const ips = `[::1]:${six.port}`;
    const [target] = await host.probe({ ips });
    expect(target?.extra_info.portals).toBe(`${ips},1`);
    const [bare] = await host.probe({ ips: '0:0::1', port: String(six.port), iqns: disks });
    expect(bare).toMatchObject({ complete: true, extra_info: { portals: `${ips},1` } });
  });
});

describe('CHAP', () => {
  it('is used, and its secret is in no error', async () => {
    const rows = await host.probe({
      ips: portal,
      iqns: guarded,
      chapuser: 'user',
      chappassword: secret,
    });
    expect(rows).toMatchObject([
      { complete: true, configuration: { chapuser: 'user', chappassword: secret } },
    ]);
    const { code, message } = await host.failure({
      ips: portal,
      iqns: guarded,
      chapuser: 'user',
      chappassword: `${secret}x`,
    });
    expect(code).toBe('SR_BACKEND_FAILURE_68');
    expect(message).not.toContain(secret);
  });

  it('fails where the target does not prove itself (A-18)', async () => {
    const { code } = await host.failure({
      ips: portal,
      iqns: guarded,
      chapuser: 'user',
      chappassword: secret,
      incoming_chapuser: 'array',
      incoming_chappassword: 'another secret',
    });
    expect(code).toBe('SR_BACKEND_FAILURE_68');
  });

  it('of both sides works where discovery authenticates nobody, or only the host', async () => {
    await using array = await startTgtd();
    const name = 'iqn.2026-11.org.example:mutual';
    const tid = await array.addTarget(name);
    await array.addLun(tid, { lun: 1, size: 528 * MiB });
    await array.addChap(tid, 'user', secret);
    await array.addChap(tid, 'array', 'another secret', true);
    const configuration = {
      ips: `127.0.0.1:${array.port}`,
      chapuser: 'user',
      chappassword: secret,
      incoming_chapuser: 'array',
      incoming_chappassword: 'another secret',
    };
    const both = async () => {
      const [target] = await host.probe(configuration);
      expect(target?.extra_info.warnings).toBeUndefined();
      expect(await host.probe({ ...configuration, ...target?.configuration })).toMatchObject([
        { complete: true },
      ]);
    };
    await both();
    await array.control('--op', 'bind', '--mode', 'account', '--user', 'user');
    await both();
    const forged = { ...configuration, iqns: name, incoming_chappassword: 'not its secret' };
    expect((await host.failure(forged)).code).toBe('SR_BACKEND_FAILURE_68');
  });

  it('takes a secret byte for byte (A-17)', async () => {
    const secrets = [
      'a$b@c#d&e!f',
      '"quoted\'12',
      'twelve chars ',
      'pass=word;12',
      'paßwörter123',
      'x'.repeat(16),
    ];
    for (const [index, each] of secrets.entries()) {
      const name = `iqn.2026-11.org.example:secret-${index}`;
      const tid = await tgtd.addTarget(name);
      await tgtd.addLun(tid, { lun: 1, size: 528 * MiB });
      await tgtd.addChap(tid, `user-${index}`, each);
      const rows = await host.probe({
        ips: portal,
        iqns: name,
        chapuser: `user-${index}`,
        chappassword: each,
      });
      expect(rows, each).toHaveLength(1);
    }
  });
});

function digest(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}
