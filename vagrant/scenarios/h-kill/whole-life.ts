/** An SR from SR.create to SR.destroy, with calls that die and are made again. */
import { strict as assert } from 'node:assert';
import { callDies, commandDies, type FaultPoints } from '../support/fault-points.ts';
import type { Host } from '../support/host.ts';
import { attachSr, detachSr, type Sr } from '../support/sr.ts';
import { createVolume } from '../support/temporary-sr.ts';
import { expectNoTraces } from '../support/traces.ts';
import { createRequest, expectNothing, mebibytes, newSr, type Place, type Task } from './place.ts';

/** Where the calls of one life die; SR.create does in each. */
interface Deaths {
  readonly create: string;
  readonly attach: string | undefined;
  readonly detach: string | undefined;
  readonly grow: string | undefined;
  readonly destroy: string | undefined;
}

/** Deals the points to as many lives as SR.create has points, from both ends, so that no life has all kinds. */
function deathsOf(points: FaultPoints, index: number): Deaths {
  const create = points.create[index];
  assert(create !== undefined);
  const fromEnd = points.create.length - 1 - index;
  return {
    create,
    attach: points.attach[index],
    detach: points.detach[index],
    grow: points.grow[index - points.attach.length],
    destroy: points.destroy[fromEnd],
  };
}

export function wholeLife(points: FaultPoints, index: number): Task {
  return {
    needsOther: false,
    async run(place, died) {
      const deaths = deathsOf(points, index);
      const { stage, only, lun } = place;
      const { target } = stage;
      const step = (what: string, work: () => Promise<string>): Promise<void> =>
        stage.step(`${only.name}: ${what}`, work);
      const sr = await newSr(place);
      const { create, attach, detach, grow, destroy } = deaths;
      await step(`kill -9 at ${create}, and SR.create again`, async () => {
        await callDies(only, 'SR.create', createRequest(sr), create);
        died(create);
        await only.call('SR.create', createRequest(sr));
        await expectNoTraces(only, target);
        return 'made';
      });
      if (attach !== undefined) {
        const dies = async (): Promise<void> => {
          await callDies(only, 'SR.attach', { configuration: sr.configuration }, attach);
          died(attach);
        };
        await step(`kill -9 at ${attach}, and SR.detach`, async () => {
          await dies();
          await leaves(place, sr);
          return 'nothing is left';
        });
        await step(`kill -9 at ${attach}, and SR.attach again`, async () => {
          await dies();
          await comesBack(only, sr, []);
          return 'attached';
        });
      }
      await attachSr([only], sr);
      const { key } = await createVolume(only, sr, 'kept', 8);
      if (detach !== undefined) {
        await step(`kill -9 at ${detach}, and SR.detach again`, async () => {
          await callDies(only, 'SR.detach', { sr: sr.uuid }, detach);
          died(detach);
          await leaves(place, sr);
          await comesBack(only, sr, [key]);
          return 'nothing is left; after SR.attach the volume is there';
        });
      }
      if (grow !== undefined) {
        await step(`kill -9 at ${grow}, and gfs2-sr sr grow again`, async () => {
          const before = await only.call('SR.stat', { sr: sr.uuid });
          await target.resize(lun, mebibytes + 256);
          await commandDies(only, ['sr', 'grow', sr.uuid], grow);
          died(grow);
          await only.exec(['gfs2-sr', 'sr', 'grow', sr.uuid], { timeout: 300_000 });
          const after = await only.call('SR.stat', { sr: sr.uuid });
          const gained = (after.total_space - before.total_space) / 1_048_576n;
          assert(gained > 200n, `${gained} MiB more`);
          await comesBack(only, sr, [key]);
          return `${gained} MiB more, and the volume is there`;
        });
      }
      const ends = async (): Promise<string> => {
        await only.call('SR.destroy', { sr: sr.uuid });
        await expectNothing(place);
        return 'no SR, and nothing is left';
      };
      if (destroy === undefined) {
        await step('SR.destroy', ends);
        return;
      }
      await step(`kill -9 at ${destroy}, and SR.destroy again`, async () => {
        await callDies(only, 'SR.destroy', { sr: sr.uuid }, destroy);
        died(destroy);
        return await ends();
      });
    },
  };
}

async function leaves({ stage, only }: Place, sr: Sr): Promise<void> {
  await detachSr([only], sr);
  await expectNoTraces(only, stage.target);
}

async function comesBack(host: Host, sr: Sr, keys: readonly string[]): Promise<void> {
  await attachSr([host], sr);
  const volumes = await host.call('SR.ls', { sr: sr.uuid });
  assert.deepEqual(
    volumes.map((volume) => volume.key),
    keys,
  );
}
