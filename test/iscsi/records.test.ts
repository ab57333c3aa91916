import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { RecordReport, RecordRequest } from './put-records.ts';

const folder = mkdtempSync(join(tmpdir(), 'records-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Puts records where only these tests see them. */
function put(requests: readonly RecordRequest[]): readonly RecordReport[] {
  const script = 'mount --bind "$1" /etc/iscsi && exec "$2" "$3"';
  const program = join(import.meta.dirname, 'put-records.ts');
  const answer = execFileSync(
    'unshare',
    ['-m', 'sh', '-c', script, 'sh', folder, process.execPath, program],
    {
      encoding: 'utf8',
      input: JSON.stringify(requests),
      env: { ...process.env, GFS2_SR_RUN_DIR: join(folder, 'run') },
    },
  );
  return JSON.parse(answer) as readonly RecordReport[];
}

const portal = { address: '10.0.0.1', port: 3260, tpgt: 1 };

describe("open-iscsi's records", () => {
  it('carry secrets to iscsiadm byte for byte, in files for root only', { timeout: 60_000 }, () => {
    const secrets = [
      'a$b@c#d&e!f',
      '#start of it',
      `"quoted'12`,
      'blank in  it',
      'pass=word;12',
      '=',
      '0x414243',
      'paßwörter123',
      'x'.repeat(11),
      'x'.repeat(255),
    ];
    const reports = put(
      secrets.map((secret, index) => ({
        target: {
          iqn: `iqn.2026-11.org.example:${index}`,
          portals: [portal],
          chap: { user: `user ${index}`, secret },
          mutualChap: { user: 'array', secret: `${index} ${secret}`.slice(0, 250) },
        },
      })),
    );
    expect(reports.map(({ fields }) => fields['node.session.auth.password'])).toEqual(secrets);
    expect(reports.map(({ fields }) => fields['node.session.auth.username'])).toEqual(
      secrets.map((_, index) => `user ${index}`),
    );
    expect(reports.map(({ fields }) => fields['node.session.auth.password_in'])).toEqual(
      secrets.map((secret, index) => `${index} ${secret}`.slice(0, 250)),
    );
    for (const { mode, removed, fields } of reports) {
      expect(mode).toBe(0o600);
      expect(removed).toBe(true);
      expect(fields['node.session.auth.authmethod']).toBe('CHAP');
    }
  });

  it('let I/O wait for ever, and log nobody in while a host starts', { timeout: 60_000 }, () => {
    const portals = [
      portal,
      { address: '2001:db8::1', port: 3261, tpgt: 2 },
      { address: 'fe80::1%eth1', port: 3260 },
      { address: 'filer.example.com', port: 3260, tpgt: 1 },
    ];
    const reports = put(portals.map((each) => ({ target: { iqn: 'iqn.2026-11.Org:A', portals: [each] } })));
    expect(reports.map(({ fields }) => fields['node.conn[0].address'])).toEqual(
      portals.map(({ address }) => address),
    );
    for (const { fields, removed } of reports) {
      expect(fields).toMatchObject({
        'node.name': 'iqn.2026-11.Org:A',
        'node.startup': 'manual',
        'node.session.timeo.replacement_timeout': '-1',
        'node.session.nr_sessions': '1',
        'node.session.scan': 'manual',
      });
      expect(removed).toBe(true);
    }
  });

  it('of an admin keep their start, and lose a user that the SR has not', { timeout: 60_000 }, () => {
    const before = {
      'node.startup': 'automatic',
      'node.session.auth.authmethod': 'CHAP',
      'node.session.auth.username': 'left over',
    };
    const [report] = put([{ target: { iqn: 'iqn.2026-11.org.example:admin', portals: [portal] }, before }]);
    expect(report).toMatchObject({ ours: false, removed: false });
    expect(report?.fields).toMatchObject({
      'node.startup': 'automatic',
      'node.session.auth.authmethod': 'None',
      'node.session.auth.username': '<empty>',
      'node.session.auth.password': '<empty>',
    });
  });
});
