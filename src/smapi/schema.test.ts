import { describe, expect, it } from 'vitest';
import { backend, calls, health, probeResult, srStat, taskState, volume, volumeType } from './interface.ts';
import { formatJson, type Json, parseJson } from './json.ts';
import {
  DecodeError,
  dictionary,
  float,
  int,
  int64,
  list,
  pair,
  type Schema,
  string,
  unit,
} from './schema.ts';

const decode = <T>(schema: Schema<T>, text: string): T => schema.decode(parseJson(text), 'value');

describe('what the wire accepts and refuses', () => {
  it.each([
    ['a decimal string as an integer', int64, '"12"', 12n],
    ['the largest integer', int64, '9223372036854775807', 9223372036854775807n],
    ['an integer as a float', float, '3', 3],
    ['null as unit', unit, 'null', undefined],
    ['a small integer', int, '-1', -1],
    ['an empty object as a dictionary', dictionary, '{}', {}],
    ['two integers as a pair', pair, '[1,2]', [1n, 2n]],
  ] as readonly [string, Schema<unknown>, string, unknown][])('accepts %s', (_what, schema, text, value) => {
    expect(decode(schema, text)).toEqual(value);
  });

  it.each([
    ['an exponent as an integer', int64, '1e9'],
    ['2^63 as an integer', int64, '9223372036854775808'],
    ['a fraction as an integer', int64, '1.5'],
    ['hexadecimal text as an integer', int64, '"0x10"'],
    ['null as a string', string, 'null'],
    ['a number as a string', string, '5'],
    ['an empty list as a dictionary', dictionary, '[]'],
    ['a number inside a dictionary', dictionary, '{"a":1}'],
    ['an empty object as unit', unit, '{}'],
    ['three integers as a pair', pair, '[1,2,3]'],
    ['2^53 + 1 as a small integer', int, '9007199254740993'],
    ['an object as a list', list(string), '{}'],
  ] as readonly [string, Schema<unknown>, string][])('refuses %s', (_what, schema, text) => {
    expect(() => decode(schema, text)).toThrow(DecodeError);
  });

  it('says that an integer is too big', () => {
    expect(() => decode(int64, '9223372036854775808')).toThrow(
      'value must be an integer of 64 bits, from -2^63 to 2^63 - 1, but is one beyond them',
    );
  });

  it('never repeats a value in its message, for it may be a secret', () => {
    expect(() => dictionary.decode({ chappassword: ['S3cret'] }, 'configuration')).toThrow(
      /^configuration\.chappassword must be a string, but is a list of 1$/,
    );
  });
});

describe('records', () => {
  const stat = {
    sr: 'h',
    name: 'n',
    description: 'd',
    free_space: 1n,
    total_space: 2n,
    datasources: [],
    clustered: true,
    health: ['Healthy', 'fine'],
  } as const;

  it('leave an absent optional field out, and refuse null in its place', () => {
    expect(formatJson(srStat.encode(stat, 'stat'))).not.toContain('uuid');
    expect(() => srStat.decode({ ...stat, uuid: null }, 'stat')).toThrow(
      'stat.uuid must be a string, but is null',
    );
    expect(() =>
      probeResult.decode({ configuration: {}, complete: true, sr: null, extra_info: {} }, 'r'),
    ).toThrow(DecodeError);
  });

  it('name the field that is missing', () => {
    const { clustered: _, ...rest } = stat;
    expect(() => srStat.decode(rest as Json, 'stat')).toThrow(
      'stat.clustered must be a bool, but is missing',
    );
    expect(() => srStat.encode(rest as never, 'result')).toThrow('result.clustered');
  });

  it('match keys without regard to case and ignore unknown ones', () => {
    expect(srStat.decode({ ...stat, NAME: 'x', other: 1n }, 'stat')).toEqual(stat);
    const { name: _, ...rest } = stat;
    expect(srStat.decode({ ...rest, Name: 'N' }, 'stat').name).toBe('N');
  });
});

describe('variants', () => {
  it('take a tag in any case, with its argument', () => {
    expect(decode(health, '["healthy","ok"]')).toEqual(['Healthy', 'ok']);
    expect(() => decode(health, '"Healthy"')).toThrow(DecodeError);
    expect(() => decode(health, '["Sick","x"]')).toThrow(
      'one of Healthy, Recovering, Unreachable, Unavailable',
    );
  });

  it('write a tag without argument the one way that both of the decoders of xapi read', () => {
    expect(formatJson(volumeType.encode(['CBT_Metadata', null], 'v'))).toBe('["CBT_Metadata",null]');
    expect(decode(volumeType, '"CBT_Metadata"')).toEqual(['CBT_Metadata', null]);
  });

  it('nest', () => {
    const text = '["Completed",{"duration":1.5,"result":["UnitResult",null]}]';
    expect(formatJson(taskState.encode(decode(taskState, text), 's'))).toBe(text);
    const disk = '{"implementations":[["XenDisk",{"params":"/dev/loop0","extra":{},"backend_type":"vbd"}]]}';
    expect(formatJson(backend.encode(decode(backend, disk), 'b'))).toBe(disk);
  });
});

describe('the interface', () => {
  it('has every call of version 5, its parameters in order', () => {
    expect(Object.keys(calls)).toHaveLength(3 + 9 + 19 + 8 + 6 + 4);
    expect(Object.keys(calls['SR.create'].parameters)).toEqual([
      'dbg',
      'uuid',
      'configuration',
      'name',
      'description',
    ]);
    expect(Object.keys(calls['Volume.revert'].parameters)).toEqual(['dbg', 'sr', 'snapshot', 'key']);
  });

  it('carries the size of a volume exactly', () => {
    const text =
      '{"key":"k","name":"","description":"","read_write":true,"sharable":false,"virtual_size":9007199254740993,' +
      '"physical_utilisation":0,"uri":[],"keys":{}}';
    expect(formatJson(volume.encode(decode(volume, text), 'v'))).toBe(text);
  });
});
