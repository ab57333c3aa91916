/** `gfs2-sr cluster set-up` by whole calls, on a host with a network, an /etc and a kernel of its own. */
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type FakeSystemd, startFakeSystemd } from '../support/fake-systemd.ts';
import { type Ended, runProcess } from '../support/xapi.ts';

const main = join(import.meta.dirname, '../../cli/main.ts');
const key = Buffer.alloc(256, 'S3cretKey').toString('base64');
const configuration = {
  name: 'pool',
  key,
  nodes: [
    { id: 1, name: 'host1', addresses: ['192.0.2.11'] },
    { id: 2, name: 'host2', addresses: ['192.0.2.12'] },
  ],
  fencing: [
    {
      name: 'power',
      agent: '/usr/sbin/fence_ipmilan',
      options: { password: 'S3cretMarker1' },
      connections: [{ node: 1 }, { node: 2 }],
    },
  ],
};

let folder: string;
let systemd: FakeSystemd;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'set-up-'));
  for (const name of ['etc/corosync', 'kernel/dlm']) mkdirSync(join(folder, name), { recursive: true });
  systemd = await startFakeSystemd({ units: {} });
});
afterEach(async () => {
  await systemd[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

/** On a host with the address 192.0.2.11. */
function setUp(input: unknown, bus = systemd): Promise<Ended> {
  const script = [
    `mount --bind ${folder}/etc /etc`,
    `mount --bind ${folder}/kernel /sys/kernel`,
    'ip address add 192.0.2.11/32 dev lo',
    'ip link set lo up',
    'exec "$@"',
  ].join(' && ');
  return runProcess(
    'unshare',
    ['--mount', '--net', 'sh', '-c', script, 'sh', process.execPath, main, 'gfs2-sr', 'cluster', 'set-up'],
    JSON.stringify(input),
    { DBUS_SYSTEM_BUS_ADDRESS: bus.address },
  );
}

/** All files below /etc, by their paths: their permissions and content. */
function files(): Readonly<Record<string, string>> {
  const etc = join(folder, 'etc');
  const found = readdirSync(etc, { recursive: true, encoding: 'utf8' }).sort();
  return Object.fromEntries(
    found.flatMap((name) => {
      const { mode } = statSync(join(etc, name));
      if (statSync(join(etc, name)).isDirectory()) return [];
      return [[name, `${(mode & 0o777).toString(8)} ${readFileSync(join(etc, name), 'latin1')}`]];
    }),
  );
}

it('writes what corosync, dlm and systemd need, and keeps secrets from others', async () => {
  const { exitCode, stdout } = await setUp(configuration);
  expect([exitCode, stdout]).toEqual([0, 'This host is set up as host1 (node 1).\n']);
  const written = files();
  expect(written['corosync/authkey']).toBe(`400 ${Buffer.from(key, 'base64').toString('latin1')}`);
  expect(written['corosync/corosync.conf']).toMatch(/^644 .*cluster_name: pool/s);
  expect(written['dlm/dlm.conf']).toMatch(/^600 .*password=S3cretMarker1/s);
  expect(written['systemd/system/run-sr\\x2dmount-.mount.d/50-gfs2-iscsi-sr.conf']).toMatch(
    /^644 .*\nAfter=[^\n]*\bcorosync\.service dlm\.service\b/s,
  );
  expect(written['systemd/system/dlm.service.d/50-gfs2-iscsi-sr.conf']).toContain('RefuseManualStop=yes');
  expect(Object.values(written).filter((content) => /S3cret/.test(content))).toHaveLength(2);
  expect(systemd.calls).toContain('Reload');
});

it('changes nothing the second time, but repairs what others may read', async () => {
  await setUp(configuration);
  const before = files();
  const again = await setUp(configuration);
  expect([again.stdout, again.stderr]).toEqual(['This host is set up as host1 (node 1) already.\n', '']);
  chmodSync(join(folder, 'etc/dlm/dlm.conf'), 0o644);
  expect((await setUp(configuration)).stderr).toBe('wrote /etc/dlm/dlm.conf\n');
  expect(files()).toEqual(before);
});

it('changes nothing while a lockspace exists, unless nothing would change', async () => {
  await setUp(configuration);
  mkdirSync(join(folder, 'kernel/dlm/sr-1'));
  const before = files();
  const { exitCode, stderr } = await setUp({ ...configuration, name: 'other' });
  expect(exitCode).toBe(1);
  expect(stderr).toMatch(
    /uses the cluster for sr-1, so \/etc\/corosync\/corosync\.conf cannot change; detach/,
  );
  expect(files()).toEqual(before);
  expect((await setUp(configuration)).exitCode).toBe(0);
});

it('refuses a cluster without this host, and one that is written wrongly, in one sentence', async () => {
  const [, host2] = configuration.nodes;
  const foreign = await setUp({ ...configuration, nodes: [host2], fencing: [] });
  expect([foreign.exitCode, foreign.stdout, foreign.stderr]).toEqual([
    1,
    '',
    'gfs2-sr cluster set-up: None of the nodes has an address of this host; correct the addresses, or set up another host.\n',
  ]);
  const wrong = await setUp({ ...configuration, name: 'a:b' });
  expect(wrong.exitCode).toBe(1);
  expect(wrong.stderr).toMatch(/^gfs2-sr cluster set-up: [^\n]*"a:b"[^\n]*\n$/);
  expect(files()).toEqual({});
});

it('says that a cluster which runs must be restarted, also when only corosync does', async () => {
  await using running = await startFakeSystemd({
    units: { 'corosync.service': ['loaded', 'active', 'running'] },
  });
  expect((await setUp(configuration, running)).stderr).toContain('run gfs2-sr cluster stop and start');
  expect((await setUp(configuration, running)).stderr).toBe('');
  expect((await setUp({ ...configuration, token: 20_000 })).stderr).toBe(
    'wrote /etc/corosync/corosync.conf\n',
  );
});

it('warns of hosts that nothing fences', async () => {
  const { exitCode, stderr } = await setUp({ ...configuration, fencing: [] });
  expect(exitCode).toBe(0);
  expect(stderr).toContain('no fencing device fences host1, host2: no SR can be attached until one does');
});
