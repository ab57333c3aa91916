/** What an array can do to the LUNs of an SR: copy them, and give their numbers to others. */
import { strict as assert } from 'node:assert';
import { type LunName, scsiId } from '../../lab/target.ts';
import type { Stage } from '../scenario.ts';
import type { ProbeRow } from '../support/smapi.ts';
import { attachSr, createSr, detachSr, lunConfig, type Sr, targetConfig } from '../support/sr.ts';
import { removeSr } from '../support/temporary-sr.ts';
import { expectNoTraces } from '../support/traces.ts';
import { expectData, expectListed, type KeptSr, keepData } from './kept-sr.ts';

const other: LunName = { target: 'pool', number: 2 };

/** @param kept an SR that is attached nowhere. */
export async function lunsThatChange(stage: Stage, kept: KeptSr): Promise<void> {
  await clone(stage, kept);
  await neighbour(stage, kept);
}

async function clone({ host, target, step, afterwards }: Stage, kept: KeptSr): Promise<void> {
  const [user, only] = [host(1), host(2)];
  const { sr, lun } = kept;
  const original = await target.lun(other);
  afterwards(async () => {
    await target.erase(other);
    await target.resize(other, original.mebibytes);
  });
  const configuration = await lunConfig(target, other);
  await step(`the array copies LUN ${lun.number}, with the SR, to LUN ${other.number}`, async () => {
    await target.copy(lun, other);
    const rows: readonly ProbeRow[] = await only.call('SR.probe', {
      configuration: targetConfig(other.target),
    });
    const [first, copy] = await Promise.all(
      [lun, other].map(async (name) => {
        const id = scsiId(await target.lun(name));
        return rows.filter((row) => row.configuration.ScsiId === id);
      }),
    );
    assert.equal(first?.[0]?.sr?.uuid, sr.uuid, 'the SR is where it was');
    assert(copy?.[0] !== undefined && copy.every((row) => row.sr === undefined), 'the copy is no SR');
    const carries = copy[0].extra_info.carries ?? '';
    assert.match(carries, /^a copy of /);
    return `probe says that the second one carries ${carries}`;
  });
  for (const attached of [false, true]) {
    const where = attached ? `the original is attached on ${user.name}` : 'the original is attached nowhere';
    await step(`the copy on ${only.name}, while ${where}`, async () => {
      if (attached) await attachSr([user], sr);
      const before = await target.changes([other]);
      const attach = await only.refusal('SR.attach', {
        configuration: { ...configuration, sr_uuid: sr.uuid },
      });
      assert.equal(attach.params[0], 'SRIsACopy', attach.message);
      const create = await only.refusal('SR.create', {
        uuid: crypto.randomUUID(),
        configuration,
        name: 'over a copy',
        description: '',
      });
      assert.match(create.params[0] ?? '', /^(LunNotEmpty|LunInUse)$/, create.message);
      assert.deepEqual(await target.changes([other]), before, 'the copy was written');
      await expectNoTraces(only, target);
      if (attached) await expectData(user, kept);
      await detachSr([user], sr);
      return `${attach.sentence} | ${create.sentence}`;
    });
  }
}

/** Two SRs on one target: each comes and goes by itself, and is told from others by more than its number. */
async function neighbour({ hosts, host, target, step, afterwards }: Stage, kept: KeptSr): Promise<void> {
  const user = host(1);
  const { sr } = kept;
  const { serial } = await target.lun(other);
  afterwards(() => target.setSerial(other, serial));
  let second: Sr | undefined;
  await step(`a second SR on the same target, both attached on ${user.name}`, async () => {
    second = await createSr(user, target, other, 'the second SR of scenario g');
    const secondKept = await keepData(user, second, other);
    await attachSr([user], sr);
    const sessions = await user.sessions();
    await attachSr([user], second);
    assert.deepEqual(await user.sessions(), sessions, 'they share the sessions');
    await expectListed(user, secondKept);
    await detachSr([user], second);
    assert.deepEqual(await user.sessions(), sessions, 'the sessions stay for the first SR');
    assert.deepEqual(await user.paths(scsiId(await target.lun(other))), [], 'the disks of the second SR go');
    await expectData(user, kept);
    return `${sessions.length} sessions for both; after SR.detach of the second its disks are gone, and the first one works`;
  });
  assert(second !== undefined);
  const gone = second;
  await step(`the array gives number ${other.number} to another volume`, async () => {
    await target.setSerial(other, crypto.randomUUID().replaceAll('-', ''));
    const before = await target.changes([other]);
    const error = await user.refusal('SR.attach', { configuration: gone.configuration });
    assert.deepEqual(await target.changes([other]), before, 'the other volume was written');
    assert.deepEqual(await user.paths(scsiId(await target.lun(other))), []);
    await expectData(user, kept);
    return error.sentence;
  });
  await step(`an SR on that volume, on ${user.name}, whose sessions are the old ones`, async () => {
    const third = await createSr(user, target, other, 'the third SR of scenario g');
    const thirdKept = await keepData(user, third, other);
    await attachSr([user], third);
    await expectData(user, thirdKept);
    await expectData(user, kept);
    await removeSr(hosts, user, third);
    await detachSr([user], sr);
    await expectNoTraces(user, target);
    return 'each has its own data';
  });
}
