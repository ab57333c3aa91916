import { describe, expect, it } from 'vitest';
import { parseRecordName } from './database.ts';
import { checkCredentials, editRecord, isOurs, readField } from './record-text.ts';

const check = (secret: string, user = 'host'): void => checkCredentials({ chap: { user, secret } });

describe('credentials', () => {
  it.each(['a$b@c#d&e!f', `"quoted'12`, 'pass=word;12', 'paßwörter123', 'x', 'x'.repeat(255), '#x'])(
    'that a record can carry are taken: %j',
    (secret) => expect(() => check(secret)).not.toThrow(),
  );

  it.each([
    ['twelve chars ', 'blank'],
    ['\tx', 'blank'],
    ['x\ny', 'line break'],
    ['x'.repeat(256), '255 bytes'],
    ['ß'.repeat(128), '255 bytes'],
  ])('that it cannot are refused by name, and not shown: %j', (secret, why) => {
    for (const attempt of [() => check(secret), () => check('secret', secret)]) {
      expect(attempt).toThrow(why);
      expect(attempt).not.toThrow(secret);
    }
  });

  it('of mutual CHAP need another secret each way, and both ways', () => {
    const chap = { user: 'host', secret: 'one secret' };
    expect(() => checkCredentials({ chap, mutualChap: { ...chap, user: 'array' } })).toThrow('the same');
    expect(() => checkCredentials({ mutualChap: chap })).toThrow('needs chapuser');
  });
});

describe('a record', () => {
  const text = '# BEGIN RECORD 2.1.8\nnode.name = a\nnode.startup = manual\n# END RECORD\n';

  it('is known as ours until someone else writes it', () => {
    const ours = editRecord(text, { 'node.startup': 'automatic' }, true);
    expect(isOurs(ours)).toBe(true);
    expect(readField(ours, 'node.startup')).toBe('automatic');
    expect(isOurs(editRecord(ours, {}, false))).toBe(false);
    expect(editRecord(ours, { 'node.startup': 'automatic' }, true)).toBe(ours);
  });

  it.each([
    ['10.0.0.1,3260,1', { address: '10.0.0.1', port: 3260, tpgt: 1 }],
    ['10.0.0.1,3260', { address: '10.0.0.1', port: 3260 }],
    ['10.0.0.1,3260,-1', { address: '10.0.0.1', port: 3260 }],
    ['2001:db8::1,3261,2', { address: '2001:db8::1', port: 3261, tpgt: 2 }],
    ['fe80::1%eth1,3260,1', { address: 'fe80::1%eth1', port: 3260, tpgt: 1 }],
    ['.gfs2.tmp', undefined],
  ])('has its portal in its name: %s', (name, portal) => {
    expect(parseRecordName(name)).toEqual(portal);
  });
});
