import { strict as assert } from 'node:assert';
import type { LunName } from '../lab/target.ts';
import type { Scenario, Stage } from './scenario.ts';
import {
  callDies,
  commandDies,
  type FaultPoints,
  faultPoints,
  putFaultPoints,
} from './support/fault-points.ts';
import type { Host } from './support/host.ts';
import type { ProbeRow } from './support/smapi.ts';
import { attachSr, detachSr, lunConfig, type Sr } from './support/sr.ts';
import { createVolume, removeSr } from './support/temporary-sr.ts';
import { expectNoTraces, forgetRecords } from './support/traces.ts';

const lun: LunName = { target: 'pool', number: 2 };
/** Enough for an SR; a small one is made sooner. */
const mebibytes = 768;

/** Where calls die: always on one host. */
interface Matrix {
  readonly stage: Stage;
  readonly points: FaultPoints;
  readonly only: Host;
  /** One more death. */
  dies(what: string, work: () => Promise<string>): Promise<void>;
}

export const killBetweenSteps: Scenario = {
  letter: 'h',
  title: 'kill -9 between any two steps of SR.create, SR.attach, SR.detach, SR.destroy and sr grow',
  proves:
    'whatever a call that died has left, the same call made again completes it; there is an SR with all that was acknowledged, or none, and at the end nothing is left anywhere',
  hosts: 2,
  async run(stage) {
    const { hosts, host, target, step, afterwards } = stage;
    await forgetRecords(hosts);
    await stage.haveCluster();
    const { mebibytes: original } = await target.lun(lun);
    afterwards(async () => {
      await target.erase(lun);
      await target.resize(lun, original);
    });
    await target.resize(lun, mebibytes);
    const points = await faultPoints();
    const only = host(1);
    const { remove } = await putFaultPoints(only);
    afterwards(remove);
    let deaths = 0;
    const dies: Matrix['dies'] = async (what, work) => {
      await step(`kill -9 at ${what}`, work);
      deaths += 1;
    };
    const matrix: Matrix = { stage, points, only, dies };
    await createAndDestroy(matrix);
    await createByOthers(matrix);
    await attachDetachAndGrow(matrix);
    await step('all of them', async () => {
      for (const each of hosts) await expectNoTraces(each, target);
      return `${deaths} deaths at ${Object.values(points).flat().length} points; nothing is left`;
    });
  },
};

/** SR.create dies and is made again; SR.destroy of what it made then, too. */
async function createAndDestroy({ stage, points, only, dies }: Matrix): Promise<void> {
  const destroys = [...points.destroy];
  for (const point of points.create) {
    let sr: Sr | undefined;
    await dies(`${point}, and SR.create again`, async () => {
      const fresh = await newSr(stage);
      await createDies(only, fresh, point);
      await create(only, fresh);
      await expectNoTraces(only, stage.target);
      await attachSr([only], fresh);
      assert.deepEqual(await only.call('SR.ls', { sr: fresh.uuid }), []);
      await createVolume(only, fresh, 'doomed', 8);
      sr = fresh;
      return 'an SR, which works';
    });
    if (sr === undefined) return;
    const doomed = sr;
    const destroy = async (): Promise<string> => {
      await only.call('SR.destroy', { sr: doomed.uuid });
      await expectNothing(stage, [only]);
      return 'no SR, and nothing is left';
    };
    const death = destroys.shift();
    if (death === undefined) await destroy();
    else {
      await dies(`${death}, and SR.destroy again`, async () => {
        await callDies(only, 'SR.destroy', { sr: doomed.uuid }, death);
        return await destroy();
      });
    }
  }
}

/** SR.create dies; then another SR is wanted on the LUN, by this host or by another one. */
async function createByOthers({ stage, points, only, dies }: Matrix): Promise<void> {
  for (const [index, point] of points.create.entries()) {
    const by = index % 2 === 0 ? stage.host(2) : only;
    await dies(`${point}, and SR.create of another SR on ${by.name}`, async () => {
      const dead = await newSr(stage);
      await createDies(only, dead, point);
      const isMounted = await only.hasMounted(dead.uuid);
      const found = await probedSr(by, dead);
      const uuid = crypto.randomUUID();
      const other = { uuid, configuration: { ...dead.configuration, sr_uuid: uuid } };
      const request = {
        uuid: other.uuid,
        configuration: other.configuration,
        name: 'another',
        description: '',
      };
      if (found === undefined && !(isMounted && by !== only)) {
        await create(by, other);
        await detachSr([only], dead);
        await attachSr([by], other);
        assert.deepEqual(await by.call('SR.ls', { sr: other.uuid }), []);
        await by.call('SR.destroy', { sr: other.uuid });
        await expectNothing(stage, [only, by]);
        return 'the other SR, which works';
      }
      const { params, sentence } = await by.refusal('SR.create', request);
      if (found === undefined) {
        assert.equal(params[0], 'LunInUse', sentence);
        assert.match(sentence, new RegExp(`\\b${only.name}\\b`));
        await detachSr([only], dead);
        await create(by, other);
        await removeSr([only, by], by, other);
      } else {
        assert.equal(params[0], 'LunNotEmpty', sentence);
        assert.equal(found, dead.uuid);
        await removeSr([only, by], only, dead);
      }
      await expectNothing(stage, [only, by]);
      return sentence;
    });
  }
}

async function attachDetachAndGrow({ stage, points, only, dies }: Matrix): Promise<void> {
  const { host, target, afterwards } = stage;
  const sr = await newSr(stage);
  await create(only, sr);
  afterwards(() => removeSr([only, host(2)], only, sr));
  await attachSr([only], sr);
  const { key } = await createVolume(only, sr, 'kept', 8);
  await detachSr([only], sr);
  const comesBack = async (): Promise<void> => {
    await attachSr([only], sr);
    const volumes = await only.call('SR.ls', { sr: sr.uuid });
    assert.deepEqual(
      volumes.map((volume) => volume.key),
      [key],
    );
  };
  const leaves = async (): Promise<void> => {
    await detachSr([only], sr);
    await expectNoTraces(only, target);
  };
  for (const point of points.attach) {
    await dies(`${point}, and SR.detach`, async () => {
      await callDies(only, 'SR.attach', { configuration: sr.configuration }, point);
      await leaves();
      return 'nothing is left';
    });
    await dies(`${point}, and SR.attach again`, async () => {
      await callDies(only, 'SR.attach', { configuration: sr.configuration }, point);
      await comesBack();
      await leaves();
      return 'the SR and its volume; after SR.detach nothing is left';
    });
  }
  for (const point of points.detach) {
    await dies(`${point}, and SR.detach again`, async () => {
      await comesBack();
      await callDies(only, 'SR.detach', { sr: sr.uuid }, point);
      await leaves();
      return 'nothing is left';
    });
  }
  await comesBack();
  let size = mebibytes;
  for (const point of points.grow) {
    await dies(`${point}, and gfs2-sr sr grow again`, async () => {
      const before = await only.call('SR.stat', { sr: sr.uuid });
      size += 256;
      await target.resize(lun, size);
      await commandDies(only, ['sr', 'grow', sr.uuid], point);
      await only.exec(['gfs2-sr', 'sr', 'grow', sr.uuid], { timeout: 300_000 });
      const after = await only.call('SR.stat', { sr: sr.uuid });
      const gained = (after.total_space - before.total_space) / 1_048_576n;
      assert(gained > 200n, `${gained} MiB more`);
      await comesBack();
      return `${gained} MiB more, and the volume is there`;
    });
  }
}

/** Identity and device-config of an SR to come, on an emptied LUN. */
async function newSr({ target }: Stage): Promise<Sr> {
  await target.erase(lun);
  const uuid = crypto.randomUUID();
  return { uuid, configuration: { ...(await lunConfig(target, lun)), sr_uuid: uuid } };
}

async function create(host: Host, { uuid, configuration }: Sr): Promise<void> {
  await host.call('SR.create', { uuid, configuration, name: 'the SR of scenario h', description: '' });
}

async function createDies(host: Host, { uuid, configuration }: Sr, point: string): Promise<void> {
  await callDies(
    host,
    'SR.create',
    { uuid, configuration, name: 'the SR of scenario h', description: '' },
    point,
  );
}

/** The uuid of the SR that a probe finds on the LUN. */
async function probedSr(host: Host, sr: Sr): Promise<string | undefined> {
  return (await probe(host, sr)).find((row) => row.sr !== undefined)?.sr?.uuid;
}

async function probe(host: Host, { configuration }: Sr): Promise<readonly ProbeRow[]> {
  return await host.call('SR.probe', { configuration });
}

/** Checks that there is no SR, and nothing of it on some hosts. */
async function expectNothing({ target }: Stage, hosts: readonly Host[]): Promise<void> {
  for (const each of hosts) await expectNoTraces(each, target);
  const [prober] = hosts;
  assert(prober !== undefined);
  const rows = await probe(prober, { uuid: '', configuration: await lunConfig(target, lun) });
  assert.deepEqual(
    rows.map(({ extra_info }) => extra_info.carries),
    ['nothing'],
  );
}
