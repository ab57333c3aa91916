import { describe, expect, test } from 'vitest';
import { parseTargets } from '../lib/discovery.ts';
import { socketFailure } from '../lib/errors.ts';
import { formatPortal, parseTargetAddress } from '../lib/portal.ts';
import { parseCapacity10, parseCapacity16 } from '../lib/scsi/capacity.ts';
import { commandName, modeSense6, persistentReserveIn, read16, readCapacity16 } from '../lib/scsi/cdb.ts';
import { parseInquiry } from '../lib/scsi/inquiry.ts';
import { decodeLun, encodeLun, parseLunList } from '../lib/scsi/luns.ts';
import { parseRegisteredKeys, parseReservation } from '../lib/scsi/reservations.ts';
import { describeSense, parseSense } from '../lib/scsi/sense.ts';
import {
  parseBlockLimits,
  parseDesignators,
  parseSerialNumber,
  parseSupportedPages,
} from '../lib/scsi/vpd.ts';
import { textPairs } from '../lib/text.ts';

const hex = (text: string) => Buffer.from(text.replace(/\s/g, ''), 'hex');

describe('LUNs', () => {
  test.each([
    ['0000000000000000', 0, 'peripheral'],
    ['00ff000000000000', 255, 'peripheral'],
    ['4005000000000000', 5, 'flat'],
    ['4100000000000000', 256, 'flat'],
    ['412c000000000000', 300, 'flat'],
    ['7fff000000000000', 16383, 'flat'],
    ['d200400000000000', 16384, 'extended-flat'],
    ['d2ffffff00000000', 16777215, 'extended-flat'],
    ['e200000100000000', undefined, 'unsupported'],
    ['c101000000000000', undefined, 'unsupported'],
    ['0100000000000000', 256, 'peripheral'],
    ['012c000000000000', 300, 'peripheral'],
    ['0005000100000000', undefined, 'unsupported'],
    ['8005000000000000', undefined, 'unsupported'],
  ])('%s is %s (%s)', (raw, lun, addressing) => {
    expect(decodeLun(hex(raw))).toEqual({ lun, raw, addressing });
  });

  test.each([0, 1, 255, 256, 300, 16383, 16384, 16777215])('%d survives encoding', (lun) => {
    expect(decodeLun(encodeLun(lun)).lun).toBe(lun);
  });

  test('a list that claims more than was sent is read as far as it is whole', () => {
    const list = hex('00000100 00000000 0001000000000000 0002000000');
    expect(parseLunList(list).map(({ lun }) => lun)).toEqual([1]);
    expect(parseLunList(hex('0000'))).toEqual([]);
  });
});

describe('sense data', () => {
  test.each([
    [
      '70 00 05 00000000 0a 00000000 25 00 00 000000',
      'Illegal Request, Logical unit not supported (5/25/00)',
    ],
    ['72 06 29 00 00000000', 'Unit Attention, Power on, reset, or bus device reset occurred (6/29/00)'],
    [
      '70 00 07 00000000 0a 00000000 27 07 00',
      'Data Protect, Space allocation failed, write protect (7/27/07)',
    ],
    ['f0 00 03 00000000 0a 00000000 11 42 00', 'Medium Error, Unrecovered read error (3/11/42)'],
    ['73 0e 99 01 00', 'Miscompare (E/99/01)'],
    ['70 00 02', 'Not Ready, No seek complete (2/00/00)'],
  ])('%s', (bytes, words) => {
    const sense = parseSense(hex(bytes));
    if (bytes.startsWith('70 00 02')) {
      expect(sense).toEqual({ key: 2, asc: 0, ascq: 0 });
    } else {
      expect(sense && describeSense(sense)).toBe(words);
    }
  });

  test.each(['', '70', '7000', '72', '7f05', '0005'])('%j is none', (bytes) => {
    expect(parseSense(hex(bytes))).toBeUndefined();
  });
});

describe('INQUIRY', () => {
  test('standard data, with the fill taken off', () => {
    const data = Buffer.concat([
      hex('008005021f000000'),
      Buffer.from('LIO-ORG my disk  \0\0\0\0\0\0\0 4.0 '),
    ]);
    expect(parseInquiry(data)).toMatchObject({
      peripheralQualifier: 0,
      deviceType: 0,
      removable: true,
      version: 5,
      vendor: 'LIO-ORG',
      product: 'my disk',
      revision: '4.0',
    });
  });

  test('no unit there, and an answer that is cut short', () => {
    expect(parseInquiry(hex('7f'))).toMatchObject({ peripheralQualifier: 3, deviceType: 31, vendor: '' });
    expect(parseInquiry(hex(''))).toMatchObject({ peripheralQualifier: 3, product: '' });
  });

  test('page 83h: designators untouched, none beyond the end', () => {
    const page = hex(
      '00830030 0103 0010 60000000000000000e00000000010001 0201 0008 49455420202020ff 5194 0004 00000001 0102 0040 00',
    );
    const found = parseDesignators(page);
    expect(found).toHaveLength(3);
    expect(found[0]).toEqual({
      type: 3,
      association: 0,
      codeSet: 1,
      protocol: undefined,
      bytes: new Uint8Array(hex('60000000000000000e00000000010001')),
    });
    expect(found[1]?.bytes).toEqual(new Uint8Array(hex('49455420202020ff')));
    expect(found[2]).toMatchObject({ type: 4, association: 1, protocol: 5 });
    expect(parseDesignators(hex('00'))).toEqual([]);
    expect(parseDesignators(hex('0083ffff 0103'))).toEqual([]);
  });

  test('pages 00h and 80h', () => {
    expect(parseSupportedPages(hex('00000003 0080b0ff'))).toEqual([0, 0x80, 0xb0]);
    expect(parseSerialNumber(Buffer.from('\0\x80\0\x08  beaf1 junk', 'latin1'))).toBe('beaf1');
    expect(parseSerialNumber(hex('00800004 20202020'))).toBeUndefined();
  });

  test('page B0h, also shorter than today', () => {
    const page = Buffer.alloc(64);
    page.writeUInt16BE(60, 2);
    page.writeUInt32BE(8192, 8);
    page.writeUInt32BE(0x80000007, 32);
    expect(parseBlockLimits(page)).toMatchObject({ maxTransferLength: 8192, unmapAlignment: 7 });
    expect(parseBlockLimits(hex('00b0000c 0000 0008 00002000 00000100'))).toMatchObject({
      optimalTransferGranularity: 8,
      maxTransferLength: 8192,
      optimalTransferLength: 256,
      maxUnmapBlocks: 0,
      unmapAlignment: undefined,
    });
  });
});

describe('READ CAPACITY', () => {
  test('beyond what a double holds, to the byte', () => {
    const data = hex('0fffffffffffffff 00001000 00 03 80 00');
    expect(parseCapacity16(data)).toEqual({
      blocks: 2n ** 60n,
      blockSize: 4096,
      physicalBlockSize: 32768,
      thin: true,
      bytes: 2n ** 72n,
    });
  });

  test('(10), and its way of saying that it cannot', () => {
    expect(parseCapacity10(hex('0001ffff 00000200'))).toMatchObject({
      blocks: 131072n,
      bytes: 67108864n,
      thin: false,
    });
    expect(parseCapacity10(hex('ffffffff 00000200'))).toBeUndefined();
  });

  test.each(['00', '0000000000000001 00000000', '0000000000000001 ffffffff', '0000000000000001 000001ff'])(
    'nonsense %s',
    (bytes) => {
      expect(parseCapacity16(hex(bytes))).toBeUndefined();
    },
  );
});

test('persistent reservations', () => {
  const keys = hex('00000007 00000010 00000000abcd0001 00000000abcd0002 ffff');
  expect(parseRegisteredKeys(keys)).toEqual({
    generation: 7,
    keys: ['00000000abcd0001', '00000000abcd0002'],
  });
  expect(parseRegisteredKeys(hex('00'))).toEqual({ generation: 0, keys: [] });
  expect(parseReservation(hex('00000007 00000010 00000000abcd0001 00000000 00 05 0000'))).toEqual({
    key: '00000000abcd0001',
    type: 5,
  });
  expect(parseReservation(hex('00000007 00000000'))).toBeUndefined();
});

test('command blocks', () => {
  expect(Buffer.from(read16(0x123456789abcdef0n, 8)).toString('hex')).toBe(
    '8800123456789abcdef0000000080000',
  );
  expect(Buffer.from(readCapacity16(32)).toString('hex')).toBe('9e100000000000000000000000200000');
  expect(Buffer.from(modeSense6(192)).toString('hex')).toBe('1a083f00c000');
  expect(Buffer.from(persistentReserveIn(1, 24)).toString('hex')).toBe('5e010000000000001800');
  expect(commandName(hex('9e10'))).toBe('READ CAPACITY(16)');
  expect(commandName(hex('9e12'))).toBe('SERVICE ACTION IN(16)');
  expect(commandName(hex('ff'))).toBe('command FFh');
});

describe('addresses', () => {
  test.each([
    ['10.0.0.1:3260,1', '10.0.0.1', 3260, 1],
    ['10.0.0.1', '10.0.0.1', 3260, 1],
    ['10.0.0.1,7', '10.0.0.1', 3260, 7],
    ['[2001:db8::1]:3261,2', '2001:db8::1', 3261, 2],
    ['[2001:db8::1]', '2001:db8::1', 3260, 1],
    ['2001:db8::1', '2001:db8::1', 3260, 1],
    ['2001:db8::1:3260', '2001:db8::1:3260', 3260, 1],
    ['[fe80::1%eth1]:3260,1', 'fe80::1%eth1', 3260, 1],
    ['filer.example.com:3260,65535', 'filer.example.com', 3260, 65535],
  ])('%s', (text, host, port, tpgt) => {
    expect(parseTargetAddress(text)).toEqual({ host, port, tpgt });
  });

  test.each([
    '',
    ':3260',
    '[]:3260',
    '[::1',
    '10.0.0.1:0',
    '10.0.0.1:65536',
    '10.0.0.1:x',
    'a b:1',
    '[10.0.0.1]x',
    '1:2:x',
  ])('%j is none', (text) => {
    expect(parseTargetAddress(text)).toBeUndefined();
  });

  test('brackets where they belong', () => {
    expect(formatPortal({ host: 'fe80::1%eth0', port: 3260 })).toBe('[fe80::1%eth0]:3260');
    expect(formatPortal({ host: '10.0.0.1', port: 1 })).toBe('10.0.0.1:1');
  });
});

describe('SendTargets text', () => {
  const asked = { host: '10.0.0.1', port: 3260 };
  const read = (text: string) => parseTargets(Buffer.from(text), asked);

  test('several portals and groups, a scopeless one marked', () => {
    const text =
      'TargetName=iqn.a:1\0TargetAddress=10.0.0.1:3260,1\0TargetAddress=[fe80::1]:3260,1\0' +
      'TargetAddress=[2001:db8::1],2\0TargetAlias=ignored\0TargetName=iqn.a:2\0';
    expect(read(text)).toEqual([
      {
        name: 'iqn.a:1',
        portals: [
          { host: '10.0.0.1', port: 3260, tpgt: 1, linkLocal: false },
          { host: 'fe80::1', port: 3260, tpgt: 1, linkLocal: true },
          { host: '2001:db8::1', port: 3260, tpgt: 2, linkLocal: false },
        ],
      },
      { name: 'iqn.a:2', portals: [{ host: '10.0.0.1', port: 3260, tpgt: 1, linkLocal: false }] },
    ]);
  });

  test.each([
    'iqn.2015-01.com.Example:Disk',
    'iqn.2015-1.x:y',
    'iqn.2017.11.dev.x:y',
    'iqn.nodate.ctl:vol',
    'iqn.2001-04.com.example',
    'iqn.2003-01.org.a_b:c',
    'eui.02004567A425678D',
    'naa.52004567BA64678D',
  ])('the name %s as it is', (name) => {
    expect(read(`TargetName=${name}\0`)?.[0]?.name).toBe(name);
  });

  test('the same target twice is one; nothing is an empty list', () => {
    expect(
      read('TargetName=a\0TargetAddress=h:1,1\0TargetName=a\0TargetAddress=h:1,1\0TargetAddress=h:2,2\0'),
    ).toEqual([
      {
        name: 'a',
        portals: [
          { host: 'h', port: 1, tpgt: 1, linkLocal: false },
          { host: 'h', port: 2, tpgt: 2, linkLocal: false },
        ],
      },
    ]);
    expect(read('')).toEqual([]);
  });

  test.each(['TargetName=iqn.cut', 'TargetAddress=10.0.0.1:3260,1\0', 'nonsense\0', '=x\0', 'TargetName=\0'])(
    '%j is no answer',
    (text) => {
      expect(read(text)).toBeUndefined();
    },
  );

  test('values keep their equals signs', () => {
    expect(textPairs(Buffer.from('CHAP_N=a=b\0'))).toEqual([['CHAP_N', 'a=b']]);
  });
});

test.each([
  [111, 'refused'],
  [113, 'unreachable'],
  [101, 'unreachable'],
  [100, 'unreachable'],
  [99, 'unreachable'],
  [110, 'timeout'],
  [104, 'closed'],
  [32, 'closed'],
])('errno %d is %s', (errno, kind) => {
  expect(socketFailure(errno).kind).toBe(kind);
});
