import { strict as assert } from 'node:assert';
import type { LunName } from '../lab/target.ts';
import { handOver } from './j-images/hand-over.ts';
import { mergeThroughPowerCut } from './j-images/merge.ts';
import { branchTogether } from './j-images/tree.ts';
import type { Scenario } from './scenario.ts';
import type { Host } from './support/host.ts';
import { attachSr, detachSr, type Sr } from './support/sr.ts';
import { temporarySr } from './support/temporary-sr.ts';
import { expectNoTraces } from './support/traces.ts';

const lun: LunName = { target: 'pool', number: 1 };

export const images: Scenario = {
  letter: 'j',
  title: 'qcow2 disks, and snapshots, clones and merges by all hosts in one tree',
  proves:
    'a disk runs on one host at a time and its data goes with it; hosts that branch and remove in one tree at once lose nothing; a merge whose host loses its power is ended by another one, with all data',
  hosts: 3,
  async run(stage) {
    const { hosts, host, target, step, afterwards } = stage;
    await stage.haveCluster();
    // What is merged when is this scenario's to say.
    await collectByThemselves(hosts, false);
    afterwards(() => collectByThemselves(hosts, true));
    const sr = await temporarySr(stage, host(1), lun, 'the SR of scenario j', 'qcow2');
    await attachSr(hosts, sr);
    await handOver(stage, sr);
    await branchTogether(stage, sr);
    await step('the SR, checked', () => checkSr(host(1), sr));
    await mergeThroughPowerCut(stage, sr);
    await step('the SR, checked again', () => checkSr(host(3), sr));
    await step('SR.detach on all hosts', async () => {
      await detachSr(hosts, sr);
      for (const each of hosts) await expectNoTraces(each, target);
      return 'nothing is left';
    });
  },
};

async function collectByThemselves(hosts: readonly Host[], wanted: boolean): Promise<void> {
  await Promise.all(
    hosts.map((host) => host.exec(['systemctl', wanted ? 'start' : 'stop', 'gfs2-sr-gc.timer'])),
  );
}

async function checkSr(host: Host, { uuid }: Sr): Promise<string> {
  const { exitCode, stdout, stderr } = await host.exec(['gfs2-sr', 'sr', 'check', uuid], {
    expect: 'any',
    timeout: 300_000,
  });
  assert.equal(exitCode, 0, `${stdout}${stderr}`);
  return stdout.trim();
}
