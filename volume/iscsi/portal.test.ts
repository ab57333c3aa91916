import { describe, expect, it } from 'vitest';
import { formatPortal, isUnscopedLinkLocal, parsePortals } from './portal.ts';

const format = (list: string, port?: number): readonly string[] => parsePortals(list, port).map(formatPortal);

describe('portals', () => {
  it.each([
    ['10.0.0.1', '10.0.0.1:3260'],
    ['10.0.0.1:3261', '10.0.0.1:3261'],
    ['2001:db8::1', '[2001:db8::1]:3260'],
    ['[2001:db8::1]', '[2001:db8::1]:3260'],
    ['[2001:db8::1]:3261', '[2001:db8::1]:3261'],
    // All of it is the address: the last part is no port.
    ['2001:db8::1:3260', '[2001:db8::1:3260]:3260'],
    ['[2001:DB8:0::0001]', '[2001:db8::1]:3260'],
    ['[fe80::1%eth1]:3260', '[fe80::1%eth1]:3260'],
    ['storage_1.Example.com:3260', 'storage_1.example.com:3260'],
    ['filer', 'filer:3260'],
  ])('reads %s as %s', (text, expected) => {
    expect(format(text)).toEqual([expected]);
  });

  it('reads back what it wrote', () => {
    for (const text of ['10.0.0.1:3260', '[2001:db8::1]:3261', '[fe80::1%eth1]:3260', 'filer:99']) {
      expect(format(text)).toEqual([text]);
    }
  });

  it('takes a list with spaces, a trailing comma and repetitions', () => {
    expect(format(' 10.0.0.1 ,10.0.0.2:3261,, 10.0.0.1:3260,')).toEqual(['10.0.0.1:3260', '10.0.0.2:3261']);
  });

  it('gives a portal without a port the one it is told', () => {
    expect(format('10.0.0.1,[2001:db8::1]:1', 860)).toEqual(['10.0.0.1:860', '[2001:db8::1]:1']);
  });

  it.each([
    '10.0.0.1:0',
    '10.0.0.1:65536',
    '10.0.0.1:',
    '10.0.0.1:iscsi',
    '10.0.0.256',
    '10.0.0',
    '[10.0.0.1]',
    '[2001:db8::1',
    '[2001:db8::1]3260',
    '2001:db8:::1',
    'a:b:c',
    'two words',
    '-host',
    'host/../x',
    '[]:3260',
  ])('refuses %s with an example', (text) => {
    expect(() => parsePortals(text)).toThrow(/Write for instance 10\.0\.0\.1, /);
  });

  it('knows a link-local address that does not say on which network', () => {
    const is = (text: string): boolean => parsePortals(text).every(isUnscopedLinkLocal);
    expect(is('fe80::1')).toBe(true);
    expect(is('[febf::1]:3260')).toBe(true);
    expect(is('fe80::1%eth0')).toBe(false);
    expect(is('fec0::1')).toBe(false);
    expect(is('fe80')).toBe(false);
  });
});
