import { strict as assert } from 'node:assert';
import type { LunName } from '../lab/target.ts';
import { cases } from './k-kill-images/cases.ts';
import { mergeCases } from './k-kill-images/merges.ts';
import { Tree } from './k-kill-images/tree.ts';
import type { Scenario } from './scenario.ts';
import { callDies, commandDies, imageFaultPoints, putFaultPoints } from './support/fault-points.ts';
import { attachSr } from './support/sr.ts';
import { temporarySr } from './support/temporary-sr.ts';

const lun: LunName = { target: 'pool', number: 1 };
/** Ends of the names of points from which on others see that the call is done. */
const done = /\.(rows|rebased|removed(-\d+)?|grown)$/;

export const killImages: Scenario = {
  letter: 'k',
  title: 'kill -9 between any two steps of what changes images',
  proves:
    'the next host finds the call done or undone, and every volume with its data; done again, it is done; a merge is ended by another host',
  hosts: 2,
  async run(stage) {
    const { hosts, host, step, afterwards } = stage;
    await stage.haveCluster();
    const sr = await temporarySr(stage, host(1), lun, 'the SR of scenario k');
    await attachSr(hosts, sr);
    const [dying, next] = [host(1), host(2)];
    const { remove } = await putFaultPoints(dying);
    afterwards(remove);
    const timers = (verb: string) => hosts.map((each) => each.exec(['systemctl', verb, 'gfs2-sr-gc.timer']));
    await Promise.all(timers('stop'));
    afterwards(() => Promise.all(timers('start')));
    const { images, merges } = await imageFaultPoints();
    assert.deepEqual(Object.keys(cases).sort(), Object.keys(images).sort(), 'calls that are not tried');
    let deaths = 0;

    for (const [name, points] of Object.entries(images)) {
      const prepare = cases[name];
      assert(prepare !== undefined);
      await step(`kill -9 at ${points.join(', ')}`, async () => {
        const tree = new Tree(sr, dying, next);
        let prepared = await prepare(tree);
        for (const [index, point] of points.entries()) {
          await callDies(dying, prepared.call, prepared.parameters as never, point);
          deaths += 1;
          await next.call('SR.set_name', { sr: sr.uuid, new_name: `after ${point}` });
          if (done.test(point)) {
            await tree.expect(prepared.result());
            if (index < points.length - 1) prepared = await prepare(tree);
          } else await tree.expect(tree.volumes);
        }
        if (!done.test(points.at(-1) ?? '')) {
          await next.call(prepared.call, prepared.parameters as never);
          await tree.expect(prepared.result());
        }
        await tree.clear();
        return 'done or undone, with all data';
      });
    }
    for (const [name, points] of Object.entries(merges)) {
      await step(`kill -9 at ${points.join(', ')}`, async () => {
        for (const point of points) {
          const tree = new Tree(sr, dying, next);
          await mergeCases[name as keyof typeof mergeCases](tree);
          const files = await tree.files();
          await commandDies(dying, ['gc', 'run', sr.uuid], point);
          deaths += 1;
          await next.call('SR.set_name', { sr: sr.uuid, new_name: `after ${point}` });
          await tree.expect(tree.volumes);
          await next.exec(['gfs2-sr', 'gc', 'run', sr.uuid], { timeout: 300_000 });
          await tree.expect(tree.volumes);
          assert.equal(await tree.files(), files - 1, 'image files');
          await tree.clear();
        }
        return `ended by ${next.name}, with all data`;
      });
    }
    await step('the SR, checked', async () => {
      const { stdout } = await next.exec(['gfs2-sr', 'sr', 'check', sr.uuid], { timeout: 300_000 });
      return `${deaths} deaths; ${stdout.trim()}`;
    });
  },
};
