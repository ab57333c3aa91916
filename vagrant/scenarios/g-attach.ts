import type { LunName } from '../lab/target.ts';
import { secretsOfTheTarget } from './g-attach/chap.ts';
import { clusterRefusals } from './g-attach/cluster-refusals.ts';
import { foreignFilesystems } from './g-attach/foreign-filesystems.ts';
import { type KeptSr, keepData } from './g-attach/kept-sr.ts';
import { lunsThatChange } from './g-attach/luns-that-change.ts';
import { attachInEveryOrder, diskInTheWay, twiceAtOnce } from './g-attach/orders.ts';
import { hostsThatStartAnew } from './g-attach/restarts.ts';
import type { Scenario } from './scenario.ts';
import { temporarySr } from './support/temporary-sr.ts';
import { expectNoTraces, forgetRecords } from './support/traces.ts';

const lun: LunName = { target: 'pool', number: 1 };

export const attachAndDetach: Scenario = {
  letter: 'g',
  title: 'attach and detach, whatever the order and whatever is in the way',
  proves:
    'an SR comes and goes on each host by itself, and leaves nothing there; a host that starts anew gets it back; what must not be attached is refused in words, and leaves nothing either',
  hosts: 3,
  async run(stage) {
    const { hosts, host, target, step } = stage;
    await forgetRecords(hosts);
    await stage.haveCluster();
    await foreignFilesystems(stage);
    await secretsOfTheTarget(stage);

    let kept: KeptSr | undefined;
    await step('an SR with data in it, attached nowhere', async () => {
      const sr = await temporarySr(stage, host(1), lun, 'the SR of scenario g');
      kept = await keepData(host(1), sr, lun);
      for (const each of hosts) await expectNoTraces(each, target);
      return sr.uuid;
    });
    if (kept === undefined) return;
    await twiceAtOnce(stage, kept);
    await attachInEveryOrder(stage, kept);
    await diskInTheWay(stage, kept);
    await lunsThatChange(stage, kept);
    await clusterRefusals(stage, kept);
    await hostsThatStartAnew(stage, kept);
  },
};
