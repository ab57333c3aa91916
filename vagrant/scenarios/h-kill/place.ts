/** Where calls die: at two places at once, for most of an SR's life is waiting. */
import { strict as assert } from 'node:assert';
import type { LunName } from '../../lab/target.ts';
import type { Stage } from '../scenario.ts';
import type { Host } from '../support/host.ts';
import type { ProbeRow } from '../support/smapi.ts';
import { lunConfig, type Sr } from '../support/sr.ts';
import { expectNoTraces } from '../support/traces.ts';

/** A LUN and hosts that nobody else uses meanwhile. */
export interface Place {
  readonly stage: Stage;
  /** Where calls die. */
  readonly only: Host;
  /** Who comes next, at some places. */
  readonly other?: Host;
  readonly lun: LunName;
}

/** Something that is done at one place, and leaves nothing there. */
export interface Task {
  readonly needsOther: boolean;
  /** @param died is told each point at which a call has died. */
  run(place: Place, died: (point: string) => void): Promise<void>;
}

/** Enough for an SR; a small one is made sooner. */
export const mebibytes = 768;

/** Does all tasks, each at one of the places; after one that failed no more begin. */
export async function inParallel(
  tasks: readonly Task[],
  places: readonly Place[],
  died: (point: string) => void,
): Promise<void> {
  const waiting = [...tasks];
  const failures: unknown[] = [];
  const next = (place: Place): Task | undefined => {
    const index = waiting.findIndex(({ needsOther }) => place.other !== undefined || !needsOther);
    return index < 0 || failures.length > 0 ? undefined : waiting.splice(index, 1)[0];
  };
  await Promise.all(
    places.map(async (place) => {
      for (let task = next(place); task !== undefined; task = next(place)) {
        try {
          await task.run(place, died);
        } catch (error) {
          failures.push(error);
        }
      }
    }),
  );
  if (failures.length > 0) throw failures[0];
}

/** Identity and device-config of an SR to come, on the emptied LUN. */
export async function newSr({ stage: { target }, lun }: Place): Promise<Sr> {
  await target.erase(lun);
  await target.resize(lun, mebibytes);
  const uuid = crypto.randomUUID();
  return { uuid, configuration: { ...(await lunConfig(target, lun)), sr_uuid: uuid } };
}

/** What SR.create is called with for an SR. */
export function createRequest({ uuid, configuration }: Sr): {
  uuid: string;
  configuration: Sr['configuration'];
  name: string;
  description: string;
} {
  return { uuid, configuration, name: 'the SR of scenario h', description: '' };
}

/** Checks that there is no SR, and nothing of one on the hosts. */
export async function expectNothing({ stage: { target }, only, other, lun }: Place): Promise<void> {
  for (const each of other === undefined ? [only] : [only, other]) await expectNoTraces(each, target);
  const rows: readonly ProbeRow[] = await only.call('SR.probe', {
    configuration: await lunConfig(target, lun),
  });
  assert.deepEqual(
    rows.map(({ extra_info }) => extra_info.carries),
    ['nothing'],
  );
}
