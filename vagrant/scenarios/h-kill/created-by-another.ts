/** A SR.create that dies, and another SR that is then wanted on its LUN. */
import { strict as assert } from 'node:assert';
import { callDies } from '../support/fault-points.ts';
import type { ProbeRow } from '../support/smapi.ts';
import { attachSr, detachSr } from '../support/sr.ts';
import { removeSr } from '../support/temporary-sr.ts';
import { createRequest, expectNothing, newSr, type Task } from './place.ts';

/** A state in which a dead SR.create leaves things. */
interface State {
  /** The last point in it. */
  readonly point: string;
  /** Who wants the LUN then. */
  readonly by: 'only' | 'other';
  /** Why it is not to be had, as an error's name; by what name it can be had is told in the sentence. */
  readonly refusal?: 'LunInUse' | 'LunNotEmpty';
}

/** All that differ for those who come next. */
export const lastPointsOfStates: readonly State[] = [
  { point: 'create.claimed', by: 'other' },
  { point: 'create.checked', by: 'only' },
  { point: 'create.formatted', by: 'other' },
  { point: 'create.named', by: 'only' },
  { point: 'create.made', by: 'other', refusal: 'LunInUse' },
  { point: 'create.released', by: 'other', refusal: 'LunNotEmpty' },
];

export function createdByAnother({ point, by, refusal }: State): Task {
  return {
    needsOther: true,
    async run(place, died) {
      const { stage, only, other } = place;
      assert(other !== undefined);
      const next = by === 'only' ? only : other;
      await stage.step(
        `${only.name}: kill -9 at ${point}, and SR.create of another SR on ${next.name}`,
        async () => {
          const dead = await newSr(place);
          await callDies(only, 'SR.create', createRequest(dead), point);
          died(point);
          const rows: readonly ProbeRow[] = await next.call('SR.probe', {
            configuration: dead.configuration,
          });
          const found = rows.find((row) => row.sr !== undefined)?.sr?.uuid;
          assert.equal(found, refusal === 'LunNotEmpty' ? dead.uuid : undefined, 'the SR that is there');
          const uuid = crypto.randomUUID();
          const wanted = { uuid, configuration: { ...dead.configuration, sr_uuid: uuid } };
          const make = async (): Promise<void> => {
            await next.call('SR.create', createRequest(wanted));
            await detachSr([only], dead);
            await attachSr([next], wanted);
            assert.deepEqual(await next.call('SR.ls', { sr: uuid }), []);
            await next.call('SR.destroy', { sr: uuid });
          };
          let seen = 'the other SR, which works';
          if (refusal === undefined) await make();
          else {
            const { params, sentence } = await next.refusal('SR.create', createRequest(wanted));
            seen = sentence;
            assert.equal(params[0], refusal, sentence);
            if (refusal === 'LunNotEmpty') await removeSr([only, next], only, dead);
            else {
              assert.match(sentence, new RegExp(`\\b${only.name}\\b`), 'it names the host that has it');
              await detachSr([only], dead);
              await make();
            }
          }
          await expectNothing(place);
          return seen;
        },
      );
    },
  };
}
