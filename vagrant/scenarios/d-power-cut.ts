import { strict as assert } from 'node:assert';
import type { FenceEvent } from '../lab/fence.ts';
import type { LunName } from '../lab/target.ts';
import type { Scenario, Stage } from './scenario.ts';
import { eventually } from './support/eventually.ts';
import { breakFencing, repairFencing } from './support/fencing.ts';
import { becomesHealthy, describeHealth } from './support/health.ts';
import type { Host } from './support/host.ts';
import { type Polling, slowestAnswer, startPolling } from './support/polling.ts';
import { CallFailed, type SrStat, type Volume } from './support/smapi.ts';
import { type ActiveDisk, activate, attachSr, type Sr } from './support/sr.ts';
import { createVolume, temporarySr } from './support/temporary-sr.ts';
import { checkBlocks, longestGap, startWriter, type Writer } from './support/writer.ts';

const lun: LunName = { target: 'pool', number: 1 };
/** Seconds for which the fence device refuses. */
const refusing = 20;

/** A host with a disk that it writes to. */
interface Working {
  readonly host: Host;
  readonly volume: Volume;
  readonly disk: ActiveDisk;
  readonly writer: Writer;
}

/** What is known of the cut. */
interface Cut {
  /** Date.now() when the power was gone, and when the fence server said that it is. */
  readonly time: number;
  fenced: number;
  /** Tries to activate the disk of the host that was cut, until one succeeds. */
  readonly tries: Polling<ActiveDisk>;
  /** SR.stat on each of the others. */
  readonly stats: readonly Polling<SrStat>[];
}

export const powerCut: Scenario = {
  letter: 'd',
  title: 'a host that writes loses its power',
  proves:
    'its disk runs nowhere else until it is fenced, and has all that was flushed; the others go on; the SR says what it waits for; the host comes back; nobody else is reset',
  hosts: 3,
  async run(stage) {
    const { hosts, host, step, afterwards } = stage;
    await stage.haveCluster();
    await repairFencing(hosts);
    const sr = await temporarySr(stage, host(1), lun, 'the SR of scenario d');
    await attachSr(hosts, sr);
    const boots = await Promise.all(hosts.map((each) => each.bootId()));

    let running: readonly Working[] = [];
    afterwards(() => Promise.all(running.map(stopWork)));
    await step('each host writes to a disk of its own', async () => {
      for (const each of hosts) running = [...running, await startWork(each, sr)];
      for (const { writer } of running) await writer.more(20, 120);
      return running.map(({ host: { name }, writer }) => `${name} ${writer.count} blocks`).join(', ');
    });
    const lost = running.at(-1) as Working;
    running = running.slice(0, -1);
    const cut = await cutPower(stage, sr, lost);
    await waitForFence(stage, lost, cut);

    let disk: ActiveDisk | undefined;
    await step(`its disk on ${host(1).name}`, async () => {
      const got = await eventually('activation after the fence', { within: 180 }, async () => {
        const last = cut.tries.answers.at(-1);
        assert(last?.value !== undefined, last?.refusal?.sentence ?? 'no answer');
        return last;
      });
      await cut.tries.stop();
      disk = got.value;
      assert(got.answered > cut.fenced, 'it was activated before its host was fenced');
      return `active ${((got.answered - cut.fenced) / 1000).toFixed(1)} s after the fence; ${await checkBlocks(host(1), disk?.device ?? '', lost.writer)}`;
    });
    await step('the others', async () => {
      const seen: string[] = [];
      for (const work of running) seen.push(await checkOther(work, cut));
      running = [];
      for (const polling of cut.stats) await polling.stop();
      for (const each of hosts.slice(0, -1)) await becomesHealthy(each, sr);
      return `${seen.join('; ')}; all that they flushed is there, and the SR is healthy`;
    });
    await comeBack(stage, sr, lost, disk as ActiveDisk | undefined);
    await step('who was reset', async () => {
      const now = await Promise.all(hosts.map((each) => each.bootId()));
      assert.deepEqual(now.slice(0, -1), boots.slice(0, -1), 'a host that was not cut was reset');
      assert.notEqual(now.at(-1), boots.at(-1));
      const others = stage.fenceEvents().filter(({ machine }) => machine !== lost.host.name);
      assert.deepEqual(others, [], 'somebody else was to be fenced');
      return `only ${lost.host.name}`;
    });
  },
};

async function startWork(host: Host, sr: Sr): Promise<Working> {
  const volume = await createVolume(host, sr, `of ${host.name}`, 16);
  const disk = await activate(host, volume);
  return { host, volume, disk, writer: await startWriter(host, disk.device) };
}

async function stopWork({ disk, writer }: Working): Promise<void> {
  await writer.stop();
  await disk.deactivate();
}

/** Cuts the power of a host while nobody can fence it, and sees what the others are told meanwhile. */
async function cutPower(stage: Stage, sr: Sr, { host: victim, volume }: Working): Promise<Cut> {
  const { hosts, host, step, afterwards } = stage;
  const survivors = hosts.filter((each) => each !== victim);
  afterwards(async () => {
    if (!(await victim.machine.hasPower())) await victim.machine.start();
  });
  afterwards(() => repairFencing(survivors));
  await breakFencing(survivors);
  await victim.machine.powerCut();
  const cut: Cut = {
    time: Date.now(),
    fenced: Number.POSITIVE_INFINITY,
    tries: startPolling(() => activate(host(1), volume), { isLast: ({ value }) => value !== undefined }),
    stats: survivors.map((each) =>
      startPolling(() => each.call('SR.stat', { sr: sr.uuid }, { timeout: 90_000 }), { seconds: 2 }),
    ),
  };
  afterwards(() => Promise.all([cut.tries, ...cut.stats].map((polling) => polling.stop())));

  await step(`${victim.name} without power, and a fence device that refuses`, async () => {
    const first = await eventually('a try to fence it', { within: 120 }, async () => {
      const [event] = tries(stage, victim);
      assert(event !== undefined, 'nobody has tried');
      return Date.parse(event.time);
    });
    await eventually('words for it', { within: 60 }, async () => {
      for (const { answers } of cut.stats)
        assert(
          answers.some(({ value }) => isWaitingFor(value, victim)),
          describeHealth(answers),
        );
    });
    await eventually('more tries', { within: refusing * 2 }, async () =>
      assert(Date.now() > first + refusing * 1000),
    );
    assert(tries(stage, victim).every(({ answer }) => answer.startsWith('failed')));
    return `first try to fence it after ${((first - cut.time) / 1000).toFixed(1)} s, ${tries(stage, victim).length} tries refused`;
  });
  await step('its disk elsewhere meanwhile', async () => {
    const { answers } = cut.tries;
    const active = answers.some(({ value }) => value !== undefined);
    assert(!active, 'the disk of a host that nobody has fenced runs on another one');
    const sentences = new Set(answers.map(({ refusal }) => refusal?.sentence));
    return `${answers.length} tries refused, the longest took ${slowestAnswer(cut.tries).toFixed(1)} s: ${[...sentences].join(' | ')}`;
  });
  for (const [index, polling] of cut.stats.entries())
    await step(`SR.stat on ${survivors[index]?.name} meanwhile`, async () => {
      const said = describeHealth(polling.answers);
      assert(
        polling.answers.every(({ refusal }) => refusal === undefined),
        `it failed: ${said}`,
      );
      return said;
    });
  return cut;
}

async function waitForFence(stage: Stage, { host: victim }: Working, cut: Cut): Promise<void> {
  await stage.step('the fence device works again', async () => {
    await repairFencing(stage.hosts.filter((each) => each !== victim));
    const done = await eventually('the fence', { within: 120 }, async () => {
      const event = tries(stage, victim).find(({ answer }) => answer.startsWith('ok'));
      assert(event !== undefined, 'it is not fenced');
      return event;
    });
    cut.fenced = Date.parse(done.time);
    return `the fence server's log says "${done.answer}" ${((cut.fenced - cut.time) / 1000).toFixed(1)} s after the cut`;
  });
}

/** What the fence server was asked to do to a host. */
function tries(stage: Stage, host: Host): readonly FenceEvent[] {
  return stage.fenceEvents().filter(({ action, machine }) => action === 'off' && machine === host.name);
}

function isWaitingFor(stat: SrStat | undefined, host: Host): boolean {
  const [state, sentence] = stat?.health ?? [];
  return state === 'Recovering' && sentence !== undefined && sentence.includes(host.name);
}

async function checkOther({ host, disk, writer }: Working, { time, fenced }: Cut): Promise<string> {
  await writer.more(20, 60);
  const meanwhile = writer.acknowledgements.filter((each) => each.time > time && each.time < fenced).length;
  await writer.stop();
  await checkBlocks(host, disk.device, writer);
  await disk.deactivate();
  const seen = `${host.name} flushed ${meanwhile} blocks between cut and fence, longest gap ${longestGap(writer).toFixed(1)} s`;
  assert(meanwhile > 0, seen);
  return seen;
}

async function comeBack(
  stage: Stage,
  sr: Sr,
  { host: victim, volume, writer }: Working,
  elsewhere: ActiveDisk | undefined,
): Promise<void> {
  const { host, step } = stage;
  await step(`${victim.name} gets its power back`, async () => {
    await victim.machine.start();
    await victim.exec(['gfs2-sr', 'cluster', 'start'], { timeout: 180_000 });
    await stage.haveCluster();
    await attachSr([victim], sr);
    await becomesHealthy(victim, sr);
    const [there, known] = await Promise.all(
      [victim, host(1)].map(async (each) => await each.call('SR.ls', { sr: sr.uuid })),
    );
    assert.deepEqual(there?.map(({ key }) => key).sort(), known?.map(({ key }) => key).sort());
    return 'it is in the cluster again, and has the SR attached';
  });
  await step(`its disk, which runs on ${host(1).name}`, async () => {
    const refusal = await activate(victim, volume).then(
      () => assert.fail('it runs on two hosts at once'),
      (error: unknown) => {
        if (error instanceof CallFailed) return error.sentence;
        throw error;
      },
    );
    await elsewhere?.deactivate();
    const disk = await activate(victim, volume);
    const seen = await checkBlocks(victim, disk.device, writer);
    await disk.deactivate();
    return `refused ("${refusal}") until it is deactivated there; then ${seen}`;
  });
}
