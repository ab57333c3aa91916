import { strict as assert } from 'node:assert';
import type { LunName } from '../lab/target.ts';
import type { Scenario } from './scenario.ts';
import { type Changes, changeCatalog, checkChanges } from './support/catalog-changes.ts';
import { completeCluster, startCluster } from './support/cluster.ts';
import { activate, attachSr, detachSr } from './support/sr.ts';
import { createVolume, temporarySr } from './support/temporary-sr.ts';
import { checkBlocks, startWriter } from './support/writer.ts';

const lun: LunName = { target: 'pool', number: 1 };
/** Seconds of work before the power goes. */
const work = 30;

export const powerOff: Scenario = {
  letter: 'i',
  title: 'all machines lose their power at once',
  proves:
    'when the power is back, the cluster and the SR come back with all that was acknowledged: data that guests have flushed, and every change of the catalog',
  hosts: 3,
  async run(stage) {
    await stage.haveCluster();
    const { hosts, host, target, vagrant, step } = stage;
    const sr = await temporarySr(stage, host(1), lun, 'the SR of scenario i');
    await attachSr(hosts, sr);
    const machines = ['target', ...hosts.map(({ name }) => name)].map((name) => vagrant.machine(name));

    const disks = await Promise.all(
      hosts.map(async (each) => {
        const volume = await createVolume(each, sr, `disk of ${each.name}`, 16);
        const { device } = await activate(each, volume);
        return { host: each, volume, writer: await startWriter(each, device) };
      }),
    );
    const changes: Changes[] = [];
    await step(`${work} s of work on all hosts, and then no power for anybody`, async () => {
      const stop = new AbortController();
      const running = hosts.map((each) => changeCatalog(each, sr, stop.signal));
      await new Promise((resolve) => setTimeout(resolve, work * 1000));
      await Promise.all(machines.map((machine) => machine.powerCut()));
      stop.abort();
      changes.push(...(await Promise.all(running)));
      for (const { calls, failures } of changes) {
        assert.deepEqual(failures, [], 'calls that failed while there was power');
        assert(calls > 0);
      }
      const blocks = disks.map(({ writer }) => writer.acknowledgements.length);
      return `acknowledged: ${blocks.join(', ')} blocks and ${changes.map(({ calls }) => calls).join(', ')} changes of the catalog`;
    });
    await step('power for all, and the cluster', async () => {
      await vagrant.machine('target').start();
      await Promise.all(hosts.map(({ machine }) => machine.start(240_000)));
      await Promise.all(hosts.map(startCluster));
      await completeCluster(hosts, 120);
      return 'quorate, with all hosts';
    });
    await step('SR.attach on all hosts at once', async () => {
      await attachSr(hosts, sr);
      for (const each of hosts) {
        const { health } = await each.call('SR.stat', { sr: sr.uuid });
        assert.equal(health[0], 'Healthy', health[1]);
      }
      return 'attached and healthy';
    });
    await step('the catalog', async () => {
      const own = disks.map(({ volume }) => volume.key);
      for (const each of hosts) checkChanges(await each.call('SR.ls', { sr: sr.uuid }), changes, own);
      const made = changes.reduce((sum, { made }) => sum + made.size, 0);
      const destroyed = changes.reduce((sum, { destroyed }) => sum + destroyed.size, 0);
      return `${made} volumes as acknowledged, none of ${destroyed} destroyed ones`;
    });
    await step('the data, each disk on another host than before', async () => {
      const said = await Promise.all(
        disks.map(async ({ volume, writer }, index) => {
          const reader = host(((index + 1) % hosts.length) + 1);
          const disk = await activate(reader, volume);
          const found = await checkBlocks(reader, disk.device, writer);
          await disk.deactivate();
          return found;
        }),
      );
      return said.join('; ');
    });
    await step('work goes on, and the filesystem is whole', async () => {
      for (const each of hosts) {
        const { key } = await createVolume(each, sr, `after it, by ${each.name}`, 1);
        await each.call('Volume.destroy', { sr: sr.uuid, key });
      }
      await detachSr(hosts, sr);
      const said = await target.runOn(lun, ['fsck.gfs2', '-n']);
      assert.doesNotMatch(said, /bad|wrong|error|fix|mismatch|inconsisten/i);
      return 'fsck.gfs2 -n finds nothing';
    });
  },
};
