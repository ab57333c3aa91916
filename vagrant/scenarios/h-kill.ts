import { strict as assert } from 'node:assert';
import type { LunName } from '../lab/target.ts';
import { createdByAnother, lastPointsOfStates } from './h-kill/created-by-another.ts';
import { inParallel, type Place, type Task } from './h-kill/place.ts';
import { wholeLife } from './h-kill/whole-life.ts';
import type { Scenario } from './scenario.ts';
import { faultPoints, putFaultPoints } from './support/fault-points.ts';
import { expectNoTraces, forgetRecords } from './support/traces.ts';

const luns: readonly LunName[] = [
  { target: 'pool', number: 2 },
  { target: 'pool', number: 20 },
];

export const killBetweenSteps: Scenario = {
  letter: 'h',
  title: 'kill -9 between any two steps of SR.create, SR.attach, SR.detach, SR.destroy and sr grow',
  proves:
    'whatever a call that died has left, the same call made again completes it; there is an SR with all that was acknowledged, or none, and at the end nothing is left anywhere',
  hosts: 3,
  async run(stage) {
    const { hosts, host, target, step, afterwards } = stage;
    await forgetRecords(hosts);
    await stage.haveCluster();
    for (const lun of luns) {
      const { mebibytes } = await target.lun(lun);
      afterwards(async () => {
        await target.erase(lun);
        await target.resize(lun, mebibytes);
      });
    }
    const [first, second] = luns as [LunName, LunName];
    const places: readonly Place[] = [
      { stage, only: host(1), lun: first },
      { stage, only: host(2), other: host(3), lun: second },
    ];
    for (const { only } of places) {
      const { remove } = await putFaultPoints(only);
      afterwards(remove);
    }
    const points = await faultPoints();
    const died = new Map<string, number>();
    const tasks: readonly Task[] = [
      ...lastPointsOfStates.map((state) => createdByAnother(state)),
      ...points.create.map((_, index) => wholeLife(points, index)),
    ];
    await inParallel(tasks, places, (point) => died.set(point, (died.get(point) ?? 0) + 1));
    await step('all of them', async () => {
      for (const each of hosts) await expectNoTraces(each, target);
      const all = Object.values(points).flat();
      assert.deepEqual(
        all.filter((point) => !died.has(point)),
        [],
        'points where nothing died',
      );
      const deaths = [...died.values()].reduce((sum, times) => sum + times, 0);
      return `${deaths} deaths at ${all.length} points; nothing is left`;
    });
  },
};
