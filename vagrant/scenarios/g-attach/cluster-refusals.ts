/** A host that cannot have an SR, for its cluster is not in order. */
import { strict as assert } from 'node:assert';
import type { LunName } from '../../lab/target.ts';
import type { Stage } from '../scenario.ts';
import {
  clusterStatus,
  completeCluster,
  setUpCluster,
  startCluster,
  stopCluster,
} from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import type { Host } from '../support/host.ts';
import { attachSr, detachSr, lunConfig } from '../support/sr.ts';
import { expectNoTraces } from '../support/traces.ts';
import { expectData, expectListed, type KeptSr } from './kept-sr.ts';

const empty: LunName = { target: 'pool', number: 300 };

/** One host after the other thing is wrong with, while another one uses the SR. */
export async function clusterRefusals(stage: Stage, kept: KeptSr): Promise<void> {
  const { hosts, host, target, vagrant, step, afterwards } = stage;
  const [user, only] = [host(1), host(3)];
  const fencesBefore = stage.fenceEvents().length;
  const refused = (what: string, kind: string, says: RegExp): Promise<void> =>
    step(`attach and create on ${only.name}, where ${what}`, () => refuse(stage, only, kept, kind, says));
  const restore = async (): Promise<void> => {
    await vagrant.machine(only.name).heal('lab-cluster');
    await stopCluster(only);
    await setUpCluster(only, hosts);
    await startCluster(only);
    await completeCluster(hosts);
  };
  await attachSr([user], kept.sr);
  let inOrder = false;
  afterwards(async () => {
    if (!inOrder) await restore();
  });

  await setUpCluster(only, hosts, { fencing: false });
  await refused('fencing was taken out of the configuration', 'FencingNotConfigured', /host1|host2/);
  await stopCluster(only);
  await refused('the cluster is stopped', 'ClusterNotRunning', /gfs2-sr cluster start/);
  await only.exec(['systemctl', 'start', 'corosync']);
  await eventually('quorum', { within: 60 }, async () => {
    assert.equal((await clusterStatus(only)).quorate, true);
  });
  await refused('dlm is stopped', 'DlmNotRunning', /gfs2-sr cluster start/);
  await vagrant.machine(only.name).cut('lab-cluster', { carrier: 'kept' });
  await eventually('the loss of quorum', { within: 90 }, async () => {
    assert.equal((await clusterStatus(only)).quorate, false);
  });
  await refused('the cluster network is cut', 'ClusterNotQuorate', /does not see host1, host2/);
  await step(`meanwhile on ${user.name}`, async () => {
    await expectListed(user, kept);
    await expectData(user, kept);
    assert.deepEqual(stage.fenceEvents().slice(fencesBefore), [], 'somebody was fenced');
    return 'the SR works, and nobody was fenced';
  });
  await step(`the cluster in order again, and the SR on ${only.name}`, async () => {
    await restore();
    inOrder = true;
    await attachSr([only], kept.sr);
    await expectData(only, kept);
    await detachSr([user, only], kept.sr);
    return 'attached, with its data';
  });
  await anotherClustersSr(stage, kept);
  for (const each of hosts) await expectNoTraces(each, target);
}

async function refuse(
  { target }: Stage,
  host: Host,
  { sr }: KeptSr,
  kind: string,
  says: RegExp,
): Promise<string> {
  const before = await target.changes([empty]);
  const attach = await host.refusal('SR.attach', { configuration: sr.configuration });
  const create = await host.refusal('SR.create', {
    uuid: crypto.randomUUID(),
    configuration: await lunConfig(target, empty),
    name: 'without a cluster',
    description: '',
  });
  for (const error of [attach, create]) {
    assert.equal(error.params[0], kind, error.message);
    assert.match(error.sentence, says);
  }
  assert.deepEqual(await target.changes([empty]), before, 'the empty LUN was written');
  await expectNoTraces(host, target);
  return attach.sentence;
}

/** The SR's filesystem as it is when another cluster has made it. */
async function anotherClustersSr({ host, target, step }: Stage, { sr, lun, ...kept }: KeptSr): Promise<void> {
  const only = host(2);
  await step("another cluster's SR", async () => {
    const said = await target.runOn(lun, ['tunegfs2', '-l']);
    const table = /^Lock table: (\S+)/m.exec(said)?.[1];
    assert(table !== undefined, said);
    await target.runOn(lun, ['tunegfs2', '-o', `locktable=theirs:${table.split(':')[1]}`]);
    const error = await only.refusal('SR.attach', { configuration: sr.configuration });
    assert.equal(error.params[0], 'WrongCluster', error.message);
    assert.match(error.sentence, /theirs/);
    await expectNoTraces(only, target);
    await target.runOn(lun, ['tunegfs2', '-o', `locktable=${table}`]);
    await attachSr([only], sr);
    await expectListed(only, { sr, lun, ...kept });
    await detachSr([only], sr);
    return error.sentence;
  });
}
