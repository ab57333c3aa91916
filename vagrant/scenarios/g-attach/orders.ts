/** Attaching and detaching by hosts that all do as they should. */
import { strict as assert } from 'node:assert';
import type { Stage } from '../scenario.ts';
import type { Host } from '../support/host.ts';
import { activate, attachSr, detachSr } from '../support/sr.ts';
import { expectNoTraces } from '../support/traces.ts';
import { expectData, expectListed, type KeptSr } from './kept-sr.ts';

/** Each host is once the first, the middle and the last one to leave, and to come back. */
const orders = [
  { leave: [1, 2, 3], comeBack: [3, 2, 1] },
  { leave: [2, 3, 1], comeBack: [1, 3, 2] },
  { leave: [3, 1, 2], comeBack: [2, 1, 3] },
] as const;

/** Two calls of one kind for one SR at the same time on one host. */
export async function twiceAtOnce({ host, target, step }: Stage, kept: KeptSr): Promise<void> {
  const { sr } = kept;
  const only = host(1);
  await step(`two SR.attach at once on ${only.name}`, async () => {
    const handles = await Promise.all(
      [1, 2].map(() => only.call('SR.attach', { configuration: sr.configuration })),
    );
    assert.deepEqual(handles, [sr.uuid, sr.uuid]);
    const mounts = (await only.sh('cat /proc/self/mounts'))
      .split('\n')
      .filter((line) => line.split(' ')[1] === only.mountPoint(sr.uuid));
    assert.equal(mounts.length, 1, 'mounted once');
    const portals = (await only.sessions()).map(({ portal }) => portal);
    assert.equal(new Set(portals).size, portals.length, 'one session for each portal');
    await expectData(only, kept);
    return `mounted once, ${portals.length} sessions`;
  });
  await step(`two SR.detach at once on ${only.name}`, async () => {
    await Promise.all([1, 2].map(() => only.call('SR.detach', { sr: sr.uuid })));
    await expectNoTraces(only, target);
    return 'both succeed, and nothing is left';
  });
}

/** Hosts leave and come back one by one; each call is made twice. */
export async function attachInEveryOrder({ hosts, host, target, step }: Stage, kept: KeptSr): Promise<void> {
  const { sr } = kept;
  await step('SR.attach on all hosts at once', async () => {
    await attachSr(hosts, sr);
    for (const each of hosts) await expectListed(each, kept);
    return 'all list the volume';
  });
  for (const { leave, comeBack } of orders) {
    await step(`leave in the order ${leave.join(', ')}`, async () => {
      const seconds: string[] = [];
      for (const [index, number] of leave.entries()) {
        seconds.push(await timed(() => leaveTwice(host(number), target, kept)));
        const staying = leave.slice(index + 1).map(host);
        for (const each of staying) await expectListed(each, kept);
      }
      return `${seconds.join(', ')} s for each; nothing is left on them, and who stays goes on`;
    });
    await step(`come back in the order ${comeBack.join(', ')}`, async () => {
      const seconds: string[] = [];
      for (const number of comeBack) seconds.push(await timed(() => comeTwice(host(number), kept)));
      await expectData(host(comeBack[2]), kept);
      return `${seconds.join(', ')} s for each; the data is there`;
    });
  }
}

async function leaveTwice(host: Host, target: Stage['target'], { sr }: KeptSr): Promise<void> {
  await detachSr([host], sr);
  await expectNoTraces(host, target);
  for (const call of ['SR.stat', 'SR.ls'] as const) {
    const { code, params } = await host.refusal(call, { sr: sr.uuid });
    assert.deepEqual([code, ...params], ['SR_BACKEND_FAILURE', 'Sr_not_attached', sr.uuid]);
  }
  await detachSr([host], sr);
}

async function comeTwice(host: Host, kept: KeptSr): Promise<void> {
  const { sr } = kept;
  await attachSr([host], sr);
  const sessions = await host.sessions();
  await attachSr([host], sr);
  assert.deepEqual(await host.sessions(), sessions, 'the same sessions');
  assert(await host.hasMounted(sr.uuid));
  await expectListed(host, kept);
}

/** A disk that runs keeps its host, and no other, from leaving. */
export async function diskInTheWay({ hosts, host, target, step }: Stage, kept: KeptSr): Promise<void> {
  const { sr, key } = kept;
  const [runner, other] = [host(2), host(1)];
  await step(`SR.detach on ${runner.name}, where a disk runs`, async () => {
    const disk = await activate(runner, await runner.call('Volume.stat', { sr: sr.uuid, key }));
    const error = await runner.refusal('SR.detach', { sr: sr.uuid });
    assert.equal(error.params[0], 'VolumeInUse', error.message);
    assert.match(error.sentence, /\bkept\b/, 'it names the volume');
    assert(await runner.hasMounted(sr.uuid));
    await expectListed(runner, kept);
    await detachSr([other], sr);
    await expectNoTraces(other, target);
    await disk.deactivate();
    return error.sentence;
  });
  await step('SR.detach on all hosts, with no disk any more', async () => {
    await detachSr(hosts, sr);
    for (const each of hosts) await expectNoTraces(each, target);
    return 'nothing is left';
  });
}

async function timed(work: () => Promise<void>): Promise<string> {
  const started = performance.now();
  await work();
  return ((performance.now() - started) / 1000).toFixed(0);
}
