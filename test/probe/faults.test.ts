/** SR.probe by whole calls, against arrays that answer as tgtd never does. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type FakeAnswer, type FakeLun, naa, startFakeArray, t10 } from './fake-array.ts';
import { ProbeHost } from './probe-host.ts';

const iqn = 'iqn.2026-11.org.example:array';
const first = naa('600140512345678900000000000000a1');
const second = naa('600140512345678900000000000000b2');

/** LUN n of up to 255 in the form of REPORT LUNS. */
const raw = (lun: number): string => lun.toString(16).padStart(4, '0').padEnd(16, '0');

const oneTarget = (portal: string): string => `TargetName=${iqn}\nTargetAddress=${portal},1`;

/** Probes an array's LUNs; the array is there for one probe. */
async function probeLuns(
  luns: Readonly<Record<string, FakeLun>>,
  targets = oneTarget,
  iqns = iqn,
): ReturnType<ProbeHost['probe']> {
  using host = new ProbeHost();
  await using array = await startFakeArray({ targets, luns });
  return await host.probe({ ips: `127.0.0.1:${array.port}`, iqns });
}

describe('portals that an array tells of', () => {
  it('are left out where they are link-local without a network, and a row says so (A-04)', async () => {
    using host = new ProbeHost();
    await using array = await startFakeArray({
      targets: (portal) => `${oneTarget(portal)}\nTargetAddress=[fe80::1]:3260,1`,
      luns: { [raw(1)]: { identification: first } },
    });
    const ips = `127.0.0.1:${array.port}`;
    const [target] = await host.probe({ ips });
    expect(target?.extra_info.portals).toBe(`${ips},1`);
    expect(target?.extra_info.warnings).toMatch(/\[fe80::1\]:3260, a link-local address/);
    const [lun] = await host.probe({ ips, iqns: iqn });
    expect(lun?.complete).toBe(true);
    expect(lun?.extra_info.warnings).toMatch(/\[fe80::1\]:3260, a link-local address/);
  });

  it('need not be reachable: the one that was asked is used then', async () => {
    const [row] = await probeLuns(
      { [raw(1)]: { identification: first } },
      () => `TargetName=${iqn}\nTargetAddress=127.0.0.1:1,1`,
    );
    expect(row?.complete).toBe(true);
    expect(row?.extra_info.portals).toMatch(/^127\.0\.0\.1:\d{4,5}$/);
    expect(row?.extra_info.warnings).toContain('127.0.0.1:1');
  });
});

describe('a portal that is dead', () => {
  it('is not asked again for every target that it should have', async () => {
    const { FakeTarget } = await import('../../native/test/fake-target.ts');
    await using silent = await FakeTarget.start(() => {});
    const rows = await probeLuns(
      { [raw(1)]: { identification: first, serial: 'A1' } },
      (portal) =>
        Array.from(
          { length: 80 },
          (_, n) =>
            `TargetName=${iqn}-${n}\nTargetAddress=127.0.0.1:${silent.port},1\nTargetAddress=${portal},1`,
        ).join('\n'),
      '*',
    );
    expect(rows).toMatchObject([{ complete: true }]);
    expect(rows[0]?.extra_info.targets?.split(', ')).toHaveLength(80);
    expect(silent.connections).toBeGreaterThan(0);
    expect(silent.connections).toBeLessThan(80);
  });
});

describe('LUN numbers', () => {
  it('are read in every addressing method; others are passed over with a note (A-07)', async () => {
    const vectors = {
      '00ff000000000000': '255',
      '4005000000000000': '5',
      '4100000000000000': '256',
      '7fff000000000000': '16383',
      d200400000000000: '16384',
    };
    const luns = Object.fromEntries(
      [...Object.keys(vectors), 'e200000100000000', 'c101000000000000'].map((bytes, index) => [
        bytes,
        { identification: naa(`6001405${index}`) },
      ]),
    );
    const rows = await probeLuns(luns);
    expect(Object.fromEntries(rows.map(({ extra_info: e }) => [e.LUN_raw, e.LUNid]))).toEqual(vectors);
    expect(rows[0]?.extra_info.warnings).toMatch(/LUN e200000100000000h, whose addressing method/);
  });
});

describe('what is no disk', () => {
  it('is not listed', async () => {
    const rows = await probeLuns({
      [raw(0)]: { deviceType: 0x0c, identification: second },
      [raw(1)]: { identification: first },
      [raw(2)]: { deviceType: 0x7f },
      [raw(3)]: { deviceType: 0x20, identification: naa('60014055') },
      [raw(4)]: { deviceType: 5, identification: naa('60014056') },
    });
    expect(rows.map(({ extra_info }) => extra_info.LUNid)).toEqual(['1']);
  });
});

describe('SCSI ids (A-13)', () => {
  it('that two LUNs share make both unusable', async () => {
    const rows = await probeLuns({
      [raw(3)]: { identification: first },
      [raw(4)]: { identification: first },
      [raw(5)]: { identification: second },
    });
    expect(rows.map(({ complete }) => complete)).toEqual([false, false, true]);
    for (const row of rows.slice(0, 2)) {
      expect(row.extra_info.problem).toMatch(/LUN 3 of .* and LUN 4 of .* have one SCSI id/);
    }
  });

  it('that are shared are found also when one LUN is chosen', async () => {
    using host = new ProbeHost();
    await using array = await startFakeArray({
      targets: oneTarget,
      luns: { [raw(3)]: { identification: first }, [raw(4)]: { identification: first } },
    });
    const [row] = await host.probe({
      ips: `127.0.0.1:${array.port}`,
      iqns: iqn,
      ScsiId: '3600140512345678900000000000000a1',
    });
    expect(row).toMatchObject({ complete: false });
  });

  it('that are missing or empty make a LUN unusable, and texts of the vendor are ids', async () => {
    const rows = await probeLuns({
      [raw(1)]: {},
      [raw(2)]: { identification: t10('FAKE            ') },
      [raw(3)]: { identification: t10('FAKE    serial 17  ') },
      [raw(4)]: { serial: '        ' },
      [raw(5)]: { serial: 'ABC 1' },
    });
    expect(rows.map(({ complete, configuration }) => [complete, configuration.ScsiId])).toEqual([
      [false, undefined],
      [false, '1FAKE'],
      [true, '1FAKE_serial_17'],
      [false, 'SFAKE_ARRAY'],
      [true, 'SFAKE_ARRAY_ABC_1'],
    ]);
    expect(rows[0]?.extra_info.problem).toMatch(/has no SCSI id/);
    expect(rows[1]?.extra_info.problem).toMatch(/empty serial number/);
  });

  it('that a LUN has at one portal but not at the other make it unusable', async () => {
    using host = new ProbeHost();
    const targets = (): string => `TargetName=${iqn}`;
    await using one = await startFakeArray({ targets, luns: { [raw(1)]: { identification: first } } });
    await using other = await startFakeArray({ targets, luns: { [raw(1)]: { identification: second } } });
    const rows = await host.probe({ ips: `127.0.0.1:${one.port},127.0.0.1:${other.port}`, iqns: iqn });
    expect(rows).toHaveLength(1);
    expect(rows[0]?.extra_info.problem).toMatch(/another LUN at each portal/);
  });

  it('that two targets show are one disk with both targets', async () => {
    const names = [`${iqn}-a`, `${iqn}-b`];
    const rows = await probeLuns(
      { [raw(1)]: { identification: first, serial: 'A1' } },
      (portal) => names.map((name) => `TargetName=${name}\nTargetAddress=${portal},1`).join('\n'),
      names.join(','),
    );
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({ complete: true, configuration: { iqns: names.join(',') } });
    expect(rows[0]?.extra_info.targets).toBe(`${iqn}-a LUN 1, ${iqn}-b LUN 1`);
  });
});

describe('a command that a LUN does not have (A-33)', () => {
  const commands: Readonly<Record<string, (cdb: Buffer) => boolean>> = {
    'READ CAPACITY(16)': (cdb) => cdb[0] === 0x9e,
    'MODE SENSE': (cdb) => cdb[0] === 0x1a || cdb[0] === 0x5a,
    'PERSISTENT RESERVE IN': (cdb) => cdb[0] === 0x5e,
    'page 80h': (cdb) => cdb[0] === 0x12 && cdb[1] === 1 && cdb[2] === 0x80,
  };
  for (const [name, isIt] of Object.entries(commands)) {
    it(`leaves the row complete: ${name}`, async () => {
      const answer = (cdb: Buffer, otherwise: () => FakeAnswer): FakeAnswer =>
        isIt(cdb) ? [5, 0x20] : otherwise();
      const rows = await probeLuns({ [raw(1)]: { identification: first, serial: 'A1', answer } });
      expect(rows).toMatchObject([{ complete: true, extra_info: { size: String(2 ** 30) } }]);
    });
  }
});

describe('a LUN that is not ready', () => {
  it('is shown with what it said', async () => {
    const answer = (cdb: Buffer, otherwise: () => FakeAnswer): FakeAnswer =>
      cdb[0] === 0x12 ? otherwise() : [2, 0x04];
    const rows = await probeLuns({
      [raw(1)]: { identification: first, answer },
      [raw(2)]: { identification: second },
    });
    expect(rows[0]).toMatchObject({
      complete: false,
      configuration: { ScsiId: expect.any(String) as string },
    });
    expect(rows[0]?.extra_info.problem).toMatch(/Not Ready.*\(2\/04\/00\)/);
    expect(rows[1]?.complete).toBe(true);
  });
});

describe.concurrent('a LUN that never answers', () => {
  it('among many of its kind is not waited for', async () => {
    const silent: FakeLun = { answer: () => undefined };
    const rows = await probeLuns(Object.fromEntries(Array.from({ length: 100 }, (_, n) => [raw(n), silent])));
    expect(rows).toHaveLength(100);
    expect(rows[0]?.extra_info.problem).toMatch(
      new RegExp(`INQUIRY on LUN 0 of ${iqn} at portal .*: no answer within 10 s`),
    );
    expect(rows[99]?.extra_info.problem).toMatch(/was not asked, since \d+ LUNs .* did not answer/);
  }, 25_000);

  it('is shown as such, and the others as ever', async () => {
    const answer = (cdb: Buffer, otherwise: () => FakeAnswer): FakeAnswer =>
      cdb[0] === 0x88 ? undefined : otherwise();
    const rows = await probeLuns({
      [raw(1)]: { identification: first, answer },
      [raw(2)]: { identification: second },
    });
    expect(rows[0]).toMatchObject({ complete: false });
    expect(rows[0]?.extra_info.problem).toMatch(/no answer within 10 s/);
    expect(rows[1]).toMatchObject({ complete: true });
  });
});

describe('a target that does not tell its LUNs', () => {
  it('fails for that, and is not taken for one without LUNs', async () => {
    using host = new ProbeHost();
    await using array = await startFakeArray({ targets: oneTarget, luns: 'closes' });
    const { code, params } = await host.failure({ ips: `127.0.0.1:${array.port}`, iqns: iqn });
    expect(code).toBe('SR_BACKEND_FAILURE_141');
    expect(params[1]).toMatch(new RegExp(`Cannot run REPORT LUNS on ${iqn} at portal .*: the target closed`));
  });
});

describe('a name server that never answers', () => {
  it('keeps no probe from ending', async () => {
    using host = new ProbeHost();
    const server = createSocket('udp4').bind(53, '127.0.0.53');
    await once(server, 'listening');
    const settings = join(host.folder, 'resolv.conf');
    // The C library alone would ask for two minutes.
    writeFileSync(settings, 'nameserver 127.0.0.53\noptions timeout:30 attempts:4\n');
    const mounted = `mount --bind ${settings} /etc/resolv.conf && exec "$@"`;
    const { code, params } = await host.failure({ ips: 'array.example' }, [
      'unshare',
      '-m',
      'sh',
      '-c',
      mounted,
      'sh',
    ]);
    server.close();
    expect(code).toBe('SR_BACKEND_FAILURE_140');
    expect(params[1]).toMatch(/portal array\.example:3260: no name server answered in time; check the name/);
  }, 20_000);
});

describe('something that is no iSCSI target', () => {
  it('gives one sentence and code 141', async () => {
    const { FakeTarget } = await import('../../native/test/fake-target.ts');
    using host = new ProbeHost();
    await using web = await FakeTarget.start(({ socket }) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    const { code, params } = await host.failure({ ips: `127.0.0.1:${web.port}` });
    expect(code).toBe('SR_BACKEND_FAILURE_141');
    expect(params[1]).toMatch(/portal 127\.0\.0\.1:\d+: .*; check that an iSCSI target listens there/);
  });
});
