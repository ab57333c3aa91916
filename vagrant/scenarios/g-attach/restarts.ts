/** Hosts that start anew while they have an SR attached. */
import { strict as assert } from 'node:assert';
import type { Stage } from '../scenario.ts';
import { completeCluster, startCluster } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import type { Host } from '../support/host.ts';
import { attachSr, detachSr } from '../support/sr.ts';
import { expectNoTraces, tracesOn } from '../support/traces.ts';
import { expectData, expectListed, type KeptSr } from './kept-sr.ts';

/** @param kept an SR that is attached nowhere. */
export async function hostsThatStartAnew(stage: Stage, kept: KeptSr): Promise<void> {
  const { hosts, host, target, vagrant, step } = stage;
  const { sr } = kept;
  await attachSr(hosts, sr);
  const fencesBefore = stage.fenceEvents().length;
  const fences = (): readonly string[] =>
    stage
      .fenceEvents()
      .slice(fencesBefore)
      .filter(({ action }) => action === 'off')
      .map(({ machine, answer }) => `${machine}: ${answer}`);

  await step(`systemctl reboot on ${host(2).name}, where the SR is attached`, async () => {
    const machine = vagrant.machine(host(2).name);
    const before = await host(2).bootId();
    await machine.exec(['systemctl', 'reboot'], { expect: 'any' }).catch(() => {});
    let slowest = 0;
    await eventually(`${host(2).name} starts anew`, { within: 240 }, async () => {
      for (const each of [host(1), host(3)])
        slowest = Math.max(slowest, await secondsOf(() => expectListed(each, kept)));
      assert.notEqual(await bootIdSoon(host(2)), before);
    });
    assert.deepEqual(fences(), [], 'it was fenced, though it has left in order');
    return `nobody was fenced; the slowest SR.ls on the others took ${slowest.toFixed(1)} s`;
  });
  await step(`${host(2).name} again`, () => comesBack(stage, host(2), kept));

  await step(`${host(3).name} loses its power while the SR is attached`, async () => {
    await vagrant.machine(host(3).name).powerCut();
    const seconds = await secondsOf(() =>
      eventually('its fencing', { within: 120 }, async () => {
        assert(fences().some((fence) => fence.startsWith(`${host(3).name}: ok`)));
      }),
    );
    // One after the other: it is one disk.
    for (const number of [1, 2]) await expectData(host(number), kept);
    return `fenced after ${seconds.toFixed(0)} s (${[...new Set(fences())].join('; ')}), and the others go on`;
  });
  await step(`${host(3).name} again`, async () => {
    await vagrant.machine(host(3).name).start();
    return await comesBack(stage, host(3), kept);
  });
  await step('SR.detach on all hosts', async () => {
    await detachSr(hosts, sr);
    for (const each of hosts) await expectNoTraces(each, target);
    return 'nothing is left';
  });
}

async function comesBack({ hosts }: Stage, host: Host, kept: KeptSr): Promise<string> {
  const left = (await tracesOn(host)).filter((line) => !line.startsWith('record '));
  assert.deepEqual(left, [], 'what it has before SR.attach');
  await startCluster(host);
  await completeCluster(hosts, 120);
  await attachSr([host], kept.sr);
  for (const each of hosts) await expectListed(each, kept);
  await expectData(host, kept);
  return 'cluster start and SR.attach; its data is there';
}

async function bootIdSoon(host: Host): Promise<string> {
  return (await host.exec(['cat', '/proc/sys/kernel/random/boot_id'], { timeout: 10_000 })).stdout.trim();
}

async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1000;
}
