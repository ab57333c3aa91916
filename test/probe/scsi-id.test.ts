/** Our SCSI ids against those of the host's own scsi_id, fed with the same VPD pages. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { scsiIdentity } from '../../volume/iscsi/scsi-id.ts';

const inquiry = { vendor: 'Example ', product: 'Disk Array v2   ' };

interface Pages {
  readonly page83?: Uint8Array;
  readonly page80?: Uint8Array;
}

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'scsi-id-'));
  const source = join(import.meta.dirname, 'fake-sg.c');
  execFileSync('cc', ['-shared', '-fPIC', '-o', join(directory, 'fake-sg.so'), source, '-ldl']);
});
afterAll(() => rmSync(directory, { recursive: true }));

/** What udev's rules would call a LUN with these pages. */
function fromUdev({ page83, page80 }: Pages): string | undefined {
  const device = mkdtempSync(join(directory, 'device-'));
  const standard = Buffer.alloc(96, ' ');
  standard.set([0, 0, 6, 2, 91, 0, 0, 2]);
  standard.write(`${inquiry.vendor}${inquiry.product}0001`, 8, 'latin1');
  writeFileSync(join(device, 'std'), standard);
  const pages = [0x00, ...(page80 === undefined ? [] : [0x80]), ...(page83 === undefined ? [] : [0x83])];
  writeFileSync(join(device, '00'), Buffer.from([0, 0, 0, pages.length, ...pages]));
  if (page80 !== undefined) writeFileSync(join(device, '80'), page80);
  if (page83 !== undefined) writeFileSync(join(device, '83'), page83);
  const { stdout } = spawnSync(
    '/lib/udev/scsi_id',
    ['--whitelisted', '--replace-whitespace', `--device=${join(device, 'std')}`],
    {
      env: { LD_PRELOAD: join(directory, 'fake-sg.so'), FAKE_SG_DIR: device },
    },
  );
  // Buffer, as an id need not be UTF-8 for scsi_id.
  const id = stdout.toString('utf8').replace(/\n$/, '');
  return id === '' ? undefined : id;
}

function page(number: number, body: Uint8Array): Uint8Array {
  return Buffer.from([0, number, body.length >> 8, body.length & 0xff, ...body]);
}

function designator(type: number, codeSet: number, bytes: Uint8Array | string, association = 0): Uint8Array {
  const content = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes;
  return Buffer.from([codeSet, (association << 4) | type, 0, content.length, ...content]);
}

const bytes = (hex: string): Uint8Array => Buffer.from(hex, 'hex');
const page83 = (...designators: readonly Uint8Array[]): Uint8Array => page(0x83, Buffer.concat(designators));

const naa6 = designator(3, 1, bytes('60014055f9d3a6c1b4e4bd3a0f7d1c2e'));
const naa5 = designator(3, 1, bytes('5000c50015ea71ac'));
const naa3 = designator(3, 1, bytes('3000000100000001'));
const eui8 = designator(2, 1, bytes('0024d10012345678'));
const eui16 = designator(2, 1, bytes('00a09812345678900011223344556677'));
const t10 = designator(1, 2, 'Example serial  12  34');
const vendor = designator(0, 2, 'lun-00017');
const targetPort = designator(3, 1, bytes('5000d31000a1b2c3'), 1);
const relativePort = designator(4, 1, bytes('00000001'), 1);
const portGroup = designator(5, 1, bytes('00000100'), 1);
const name = designator(8, 3, 'iqn.2003-01.org.example:disk\0\0\0\0');

/** Shapes of pages as arrays of the field send them. */
const shapes: Readonly<Record<string, Pages>> = {
  'NAA 6 among others': { page83: page83(t10, naa6, targetPort, relativePort, portGroup, name) },
  'NAA 5': { page83: page83(naa5, t10) },
  'NAA 3 before EUI-64': { page83: page83(eui8, naa3) },
  'NAA 6 behind NAA 5': { page83: page83(naa5, naa6) },
  'EUI-64 of 8 bytes': { page83: page83(vendor, t10, eui8) },
  'EUI-64 of 16 bytes': { page83: page83(eui16) },
  'T10 vendor id with runs of spaces': { page83: page83(t10) },
  'T10 vendor id with trailing spaces': { page83: page83(designator(1, 2, 'Example disk        ')) },
  'T10 vendor id that ends in NULs': {
    page83: page83(designator(1, 2, 'IET     00010001\0\0\0\0\0\0\0\0')),
  },
  'T10 vendor id in binary': { page83: page83(designator(1, 1, 'IET     0001')) },
  'T10 vendor id with odd characters': { page83: page83(designator(1, 2, 'Ex/am"ple$\\x20*;é\xff(1)')) },
  'vendor specific': { page83: page83(vendor) },
  'vendor specific in binary': { page83: page83(designator(0, 1, bytes('00ff10'))) },
  'only of the target port': {
    page83: page83(targetPort, relativePort),
    page80: page(0x80, Buffer.from('SN1')),
  },
  'only a SCSI name': { page83: page83(name), page80: page(0x80, Buffer.from('  SN 2  ')) },
  'UTF-8 code set': {
    page83: page83(designator(1, 3, 'Example disk')),
    page80: page(0x80, Buffer.from('X')),
  },
  'before SPC-3': { page83: page(0x83, bytes('60060480000190101965533030383942')) },
  'no page 83h, a serial': { page80: page(0x80, Buffer.from('ABC 123 ')) },
  'no page 83h, an empty serial': { page80: page(0x80, Buffer.alloc(0)) },
  'neither page': {},
  'empty page 83h': { page83: page83() },
  'first of two NAA 6': {
    page83: page83(naa6, designator(3, 1, bytes('600140500000000000000000000000ff'))),
  },
  'NAA 6 in ASCII': { page83: page83(designator(3, 2, '600140512345678'), t10) },
};

describe('the SCSI id', () => {
  for (const [shape, pages] of Object.entries(shapes)) {
    it(`is udev's: ${shape}`, () => {
      expect(scsiIdentity(pages.page83, pages.page80, inquiry)?.id).toBe(fromUdev(pages));
    });
  }

  it('has a form that people know', () => {
    const id = (pages: Pages): string | undefined => scsiIdentity(pages.page83, pages.page80, inquiry)?.id;
    expect(id({ page83: page83(t10, naa6) })).toBe('360014055f9d3a6c1b4e4bd3a0f7d1c2e');
    expect(id({ page83: page83(eui8) })).toBe('20024d10012345678');
    expect(id({ page83: page83(t10) })).toBe('1Example_serial_12_34');
    expect(id({ page83: page83(vendor) })).toBe('0Example_Disk_Array_v2_lun-00017');
    expect(id({ page80: page(0x80, Buffer.from('ABC 123 ')) })).toBe('SExample_Disk_Array_v2_ABC_123');
  });

  it("is udev's for 100 pages of random designators", () => {
    let seed = 20261125;
    const random = (below: number): number => {
      seed = (seed * 1103515245 + 12345) % 2 ** 31;
      return Math.floor((seed / 2 ** 31) * below);
    };
    for (let round = 0; round < 100; round += 1) {
      const designators = Array.from({ length: 1 + random(4) }, () => {
        const length = [4, 8, 16, 20][random(4)] ?? 8;
        const codeSet = 1 + random(3);
        const content = Buffer.from(
          Array.from({ length }, () => (codeSet === 1 ? random(256) : 0x20 + random(0x5f))),
        );
        return designator(random(9), codeSet, content, random(3));
      });
      const pages = { page83: page83(...designators), page80: page(0x80, Buffer.from(`serial ${round}`)) };
      expect(scsiIdentity(pages.page83, pages.page80, inquiry)?.id, `round ${round}`).toBe(fromUdev(pages));
    }
  });

  it('says what makes an id unique, and what does not', () => {
    const basis = (pages: Pages): string | undefined =>
      scsiIdentity(pages.page83, pages.page80, inquiry)?.basis;
    expect(basis({ page83: page83(naa6) })).toBe('standard');
    expect(basis({ page83: page83(t10) })).toBe('vendor');
    expect(basis({ page80: page(0x80, Buffer.from('1')) })).toBe('vendor');
    expect(basis({ page83: page83(designator(1, 2, 'IET             \0\0')) })).toBe('blank');
    expect(basis({ page83: page83(designator(3, 1, new Uint8Array(16))) })).toBe('blank');
    expect(basis({ page80: page(0x80, Buffer.from('    ')) })).toBe('blank');
  });
});
