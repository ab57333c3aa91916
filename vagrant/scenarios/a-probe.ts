import { strict as assert } from 'node:assert';
import { chapSecrets, type LunName, portals, scsiId, targets } from '../lab/target.ts';
import type { Scenario, Stage } from './scenario.ts';
import type { Host } from './support/host.ts';
import { startLoad } from './support/load.ts';
import type { ProbeRow } from './support/smapi.ts';
import { activate, attachSr, chapConfig, lunConfig, targetConfig } from './support/sr.ts';
import { createVolume, temporarySr } from './support/temporary-sr.ts';

const srLun: LunName = { target: 'pool', number: 20 };
/** Its number is in another form than those below 256. */
const blank: LunName = { target: 'pool', number: 300 };
const name = 'the SR of scenario a';

export const probe: Scenario = {
  letter: 'a',
  title: 'probe an array that is in use',
  proves:
    'SR.probe finds targets, LUNs and an SR that another host uses, with and without CHAP and in both portal groups; it writes nothing, leaves no session, and throws out none of the kernel',
  hosts: 2,
  async run(stage) {
    await probeFromNothing(stage);
    await stage.haveCluster();
    await probeInUse(stage);
  },
};

/** The three steps, on LUNs that nobody uses and no host is logged in to. */
async function probeFromNothing({ host, target, step }: Stage): Promise<void> {
  const prober = host(1);
  const luns = await target.luns();
  const pool = luns.filter((lun) => lun.target === 'pool' && lun.mapped);
  const wrong = 'not-the-secret-1';
  await target.erase(blank);
  const before = { changes: await target.changes(luns), counts: await bothSessions(target) };
  assert.deepEqual(await prober.sessions(), [], 'the host is logged in nowhere');

  for (const address of ['10.90.2.10', '10.90.2.210']) {
    await step(`first step, portal ${address}`, async () => {
      const rows = await probeRows(prober, { provider: 'iscsi', ips: address });
      assert.deepEqual(
        rows.map(({ configuration }) => configuration.iqns).sort(),
        Object.values(targets).sort(),
      );
      const row = rows.find(({ configuration }) => configuration.iqns === targets.pool);
      assert.equal(row?.complete, false);
      const listed = row?.extra_info.portals?.split(' ').sort();
      assert.deepEqual(
        listed,
        portals.pool.map(({ address, port, group }) => `${address}:${port},${group}`).sort(),
      );
      return `${rows.length} targets; ${targets.pool} at ${listed?.join(' ')}`;
    });
  }
  for (const addresses of [['10.90.2.10'], ['10.90.2.210'], ['10.90.2.10', '10.90.2.110', '10.90.2.210']]) {
    await step(`second step, LUNs over ${addresses.join(' ')}`, async () => {
      const rows = await probeRows(prober, targetConfig('pool', addresses));
      assert.deepEqual(
        rows.map(({ configuration, extra_info }) => `${extra_info.LUN} ${configuration.ScsiId}`).sort(),
        pool.map((lun) => `${lun.number} ${scsiId(lun)}`).sort(),
      );
      for (const address of addresses)
        assert.match(rows[0]?.extra_info.portals ?? '', new RegExp(`${address}:`));
      return `LUNs ${rows.map(({ extra_info }) => extra_info.LUN).join(' ')}, each with its own SCSI id`;
    });
  }
  await step(`third step, LUN ${blank.number}`, async () => {
    const rows = await probeRows(prober, await lunConfig(target, blank));
    assert.equal(rows.length, 1);
    assert.equal(rows[0]?.complete, true);
    assert.equal(rows[0]?.extra_info.carries, 'nothing');
    return 'complete, carries nothing';
  });

  const secrets = chapConfig(chapSecrets());
  const refused = {
    'no CHAP': {},
    'a wrong secret': { ...secrets, chappassword: wrong },
    'a wrong secret of the target': { ...secrets, incoming_chappassword: wrong },
  };
  for (const [what, chap] of Object.entries(refused)) {
    await step(`the target with CHAP, ${what}`, async () => {
      const error = await prober.refusal('SR.probe', {
        configuration: { ...targetConfig('chap'), ...chap },
      });
      assert.equal(error.code, 'SR_BACKEND_FAILURE_68', error.message);
      for (const secret of [secrets.chappassword, secrets.incoming_chappassword, wrong])
        assert(!error.message.includes(secret ?? ''), 'a secret in an error');
      return error.sentence;
    });
  }
  await step('the target with CHAP in both directions', async () => {
    const rows = await probeRows(prober, { ...targetConfig('chap'), ...secrets });
    assert.deepEqual(rows.map(({ extra_info }) => extra_info.LUN).sort(), ['0', '1']);
    const [chosen] = await probeRows(prober, rows[0]?.configuration ?? {});
    assert.equal(chosen?.complete, true);
    return `LUNs ${rows.map(({ extra_info }) => extra_info.LUN).join(' ')}; with the SCSI id complete`;
  });

  await step('what it left on the target', async () => {
    const counts = await bothSessions(target);
    assert.deepEqual(await target.changes(luns), before.changes, 'no LUN was written');
    const [begun, ended] = [counts.logins - before.counts.logins, counts.logouts - before.counts.logouts];
    assert.equal(counts.open, 0, 'no session is left');
    assert.equal(counts.lost, before.counts.lost, 'no session ended without a logout');
    assert(begun > 0);
    assert.equal(ended, begun);
    assert.deepEqual(await prober.sessions(), [], 'the kernel has no session');
    return `${begun} logins, ${ended} logouts, 0 sessions, 0 writes on ${luns.length} LUNs`;
  });
}

/** Probes of a LUN with an SR, by the host that uses it and by another one. */
async function probeInUse(stage: Stage): Promise<void> {
  const { host, target, step } = stage;
  const [user, other] = [host(1), host(2)];
  const sr = await temporarySr(stage, user, srLun, name);
  const { uuid } = sr;
  await step(`SR.attach on ${user.name}`, async () => {
    await attachSr([user], sr);
    assert(await user.hasMounted(uuid));
    return `SR ${uuid} on LUN ${srLun.number}`;
  });
  const chosen = await lunConfig(target, srLun);

  await step(`${other.name} finds it, and writes nothing`, async () => {
    await quiet(target, srLun);
    const before = await target.changes([srLun]);
    const row = (await probeRows(other, chosen)).find((each) => each.sr !== undefined);
    assert.equal(row?.sr?.uuid, uuid);
    assert.equal(row?.sr?.name, name);
    assert.equal(row?.sr?.clustered, true);
    assert.equal(row?.configuration.sr_uuid, uuid);
    assert.equal(row?.complete, true);
    assert.deepEqual(await target.changes([srLun]), before);
    assert.deepEqual(await other.sessions(), []);
    return `${row?.sr?.name}, ${row?.sr?.total_space} bytes, ${row?.sr?.health.join(': ')}`;
  });

  await step(`probes in a loop on ${user.name}, with its own disk under I/O`, async () => {
    const volume = await createVolume(user, sr, 'busy', 64);
    const disk = await activate(user, volume);
    const load = await startLoad(
      user,
      'io',
      'dd if=/dev/urandom of="$1" bs=64k count=32 oflag=direct conv=notrunc status=none',
      [disk.device],
    );
    const before = {
      sessions: await user.sessions(),
      counts: await target.sessions('pool'),
      log: await user.kernelLogMark(),
    };
    assert(before.sessions.length > 0);
    let probes = 0;
    const started = performance.now();
    while (performance.now() - started < 20_000 || probes < 5) {
      const rows = await probeRows(user, chosen);
      assert(rows.some((row) => row.sr?.uuid === uuid));
      probes += 1;
    }
    const { rounds, failures } = await load.look();
    await load.stop();
    await disk.deactivate();
    const counts = await target.sessions('pool');
    assert.deepEqual(failures, []);
    assert(rounds > 0);
    assert.deepEqual(await user.sessions(), before.sessions, "the kernel's sessions are the same");
    assert.equal(counts.open, before.counts.open);
    assert.equal(counts.lost, before.counts.lost);
    const begun = counts.logins - before.counts.logins;
    assert.equal(counts.logouts - before.counts.logouts, begun);
    const complaints = (await user.kernelLogSince(before.log)).filter((line) =>
      /iscsi|conn error|connection\d|I\/O error|reset|gfs2|sd[a-z]+\]/i.test(line),
    );
    assert.deepEqual(complaints, [], 'the kernel said nothing of iSCSI');
    await user.call('Volume.destroy', { sr: uuid, key: volume.key });
    return `${probes} probes with ${begun} sessions of their own, ${rounds} rounds of writes without an error; the kernel's ${before.sessions.length} sessions are as before`;
  });
}

async function probeRows(
  host: Host,
  configuration: Readonly<Record<string, string>>,
): Promise<readonly ProbeRow[]> {
  return await host.call('SR.probe', { configuration });
}

type Target = Stage['target'];

async function bothSessions(target: Target) {
  const [pool, chap] = [await target.sessions('pool'), await target.sessions('chap')];
  return {
    open: pool.open + chap.open,
    logins: pool.logins + chap.logins,
    logouts: pool.logouts + chap.logouts,
    lost: pool.lost + chap.lost,
  };
}

/** Waits until a mounted filesystem that nobody uses has written all that it wants. */
async function quiet(target: Target, lun: LunName): Promise<void> {
  for (let same = 0, last = ''; same < 3; ) {
    const now = JSON.stringify(await target.changes([lun]));
    same = now === last ? same + 1 : 0;
    last = now;
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}
