import { strict as assert } from 'node:assert';
import type { LunName } from '../lab/target.ts';
import type { ExecResult } from '../lib/index.ts';
import type { Scenario, Stage } from './scenario.ts';
import { readDigest, writeData } from './support/data.ts';
import { eventually } from './support/eventually.ts';
import type { Host } from './support/host.ts';
import { startLoad } from './support/load.ts';
import type { SrStat } from './support/smapi.ts';
import { activate, attachSr, type Sr } from './support/sr.ts';
import { createVolume, temporarySr } from './support/temporary-sr.ts';

const lun: LunName = { target: 'pool', number: 1 };
const mebibyte = 1_048_576n;
/** Mebibytes that the LUN gets each time. */
const more = 1024;
/** The portal that one host loses. */
const lostPortal = '10.90.2.210';

export const grow: Scenario = {
  letter: 'f',
  title: 'a LUN grows on the array, and the SR with it',
  proves:
    'an SR grows once, when every host that has it attached has seen the new size over every path; until then it says who has not; volumes and their I/O are untouched',
  hosts: 3,
  async run(stage) {
    await stage.haveCluster();
    const { hosts, host, target, step, afterwards } = stage;
    const { mebibytes: original } = await target.lun(lun);
    afterwards(() => target.resize(lun, original));
    const sr = await temporarySr(stage, host(1), lun, 'the SR of scenario f');
    await attachSr(hosts, sr);

    const kept = await createVolume(host(1), sr, 'kept', 16);
    const keptDisk = await activate(host(1), kept);
    const written = await writeData(host(1), keptDisk.device, 16);
    await keptDisk.deactivate();
    const busy = await createVolume(host(2), sr, 'busy', 64);
    const busyDisk = await activate(host(2), busy);
    const load = await startLoad(
      host(2),
      'grow',
      'dd if=/dev/urandom of="$1" bs=64k count=16 oflag=direct conv=notrunc status=none',
      [busyDisk.device],
    );
    afterwards(async () => {
      await load.stop();
      await busyDisk.deactivate();
    });

    await growInTurn(stage, sr, original);
    await growWithoutAPath(stage, sr, original);

    await step('volumes and their I/O meanwhile', async () => {
      const { rounds, failures } = await load.look();
      assert.deepEqual(failures, []);
      assert(rounds > 0);
      const slowest = await load.slowest();
      const disk = await activate(host(3), kept);
      assert.equal(await readDigest(host(3), disk.device, written.mebibytes), written.sha256);
      await disk.deactivate();
      const names = (await host(3).call('SR.ls', { sr: sr.uuid })).map(({ name }) => name);
      assert.deepEqual(names.sort(), ['busy', 'kept']);
      return `${rounds} rounds of writes without an error, the longest ${slowest.toFixed(1)} s; the other volume reads as it was written`;
    });
  },
};

/** The array grows the LUN, and the same command runs on each host. */
async function growInTurn({ hosts, host, target, step }: Stage, sr: Sr, original: number): Promise<void> {
  const before = await stats(hosts, sr);
  await step(`the array grows LUN ${lun.number} from ${original} to ${original + more} MiB`, async () => {
    await target.resize(lun, original + more);
    const totals = (await stats(hosts, sr)).map((stat) => stat.total_space);
    assert.deepEqual(
      totals,
      before.map((stat) => stat.total_space),
    );
    return 'no host is told, and the SR is as it was';
  });
  for (const [number, behind] of [
    [1, ['host2', 'host3']],
    [2, ['host3']],
  ] as const) {
    await step(`gfs2-sr sr grow on host${number}`, async () => {
      const sentence = await refusedGrow(host(number), sr);
      for (const { name } of hosts) {
        assert.equal(named(sentence, name), (behind as readonly string[]).includes(name), sentence);
      }
      const { total_space } = await host(number).call('SR.stat', { sr: sr.uuid });
      assert.equal(total_space, before[number - 1]?.total_space);
      return sentence;
    });
  }
  await step('gfs2-sr sr grow on host3, the last one', async () => {
    const { stdout } = await runGrow(host(3), sr);
    return stdout.trim();
  });
  await expectGrown(hosts, sr, before, step);
  await step('once more on each host', async () => {
    const sizes = await stats(hosts, sr);
    const said: string[] = [];
    for (const each of hosts) said.push((await runGrow(each, sr)).stdout.trim());
    assert.deepEqual(
      (await stats(hosts, sr)).map((stat) => stat.total_space),
      sizes.map((stat) => stat.total_space),
    );
    return said.join(' | ');
  });
}

/** A path that does not answer cannot have the new size. */
async function growWithoutAPath(
  { hosts, host, target, vagrant, step, afterwards }: Stage,
  sr: Sr,
  original: number,
): Promise<void> {
  const before = await stats(hosts, sr);
  const machine = vagrant.machine('target');
  const lose = `ip address del ${lostPortal}/24 dev eth1`;
  const regain = `ip address replace ${lostPortal}/24 dev eth1`;
  afterwards(() => machine.exec(['sh', '-c', regain]));
  await target.resize(lun, original + 2 * more);
  await step(`gfs2-sr sr grow on host1 while portal ${lostPortal} is gone`, async () => {
    await machine.exec(['sh', '-c', lose]);
    await eventually('host1 notices it', { within: 90 }, async () => {
      const lost = (await host(1).sessions()).find(({ portal }) => portal.startsWith(`${lostPortal}:`));
      assert.notEqual(lost?.state, 'LOGGED_IN');
    });
    const sentence = await refusedGrow(host(1), sr);
    assert(sentence.includes(lostPortal), sentence);
    return sentence;
  });
  await step('it comes back, and all hosts run the command', async () => {
    await machine.exec(['sh', '-c', regain]);
    await eventually('all sessions are back', { within: 120 }, async () => {
      for (const each of hosts)
        for (const { state, portal } of await each.sessions())
          assert.equal(state, 'LOGGED_IN', `${each.name}, portal ${portal}`);
    });
    const ends: string[] = [];
    for (const each of hosts) {
      const { exitCode, stdout, stderr } = await runGrow(each, sr, 'any');
      ends.push(`${each.name}: ${exitCode === 0 ? stdout.trim() : 'refused'}`);
      if (each === hosts.at(-1)) assert.equal(exitCode, 0, stderr);
    }
    return ends.join('; ');
  });
  await expectGrown(hosts, sr, before, step);
}

/** Every host's SR.stat tells of what the LUN got, all but the filesystem's own part. */
async function expectGrown(
  hosts: readonly Host[],
  sr: Sr,
  before: readonly SrStat[],
  step: Stage['step'],
): Promise<void> {
  await step('SR.stat on all hosts', async () => {
    const after = await eventually('all hosts see the new size', { within: 90 }, async () => {
      const now = await stats(hosts, sr);
      for (const [index, stat] of now.entries()) {
        const gained = stat.total_space - (before[index]?.total_space ?? 0n);
        assert(gained > (BigInt(more) * mebibyte * 9n) / 10n, `${hosts[index]?.name} has gained ${gained}`);
        assert(stat.free_space > (before[index]?.free_space ?? 0n) + 512n * mebibyte);
        assert.equal(stat.total_space, now[0]?.total_space);
        assert.equal(stat.health[0], 'Healthy');
      }
      return now;
    });
    const [first] = after;
    const inMebibytes = (bytes = 0n): string => `${bytes / mebibyte} MiB`;
    return `${inMebibytes(first?.total_space)} on all, before ${inMebibytes(before[0]?.total_space)}; free ${after.map((stat) => inMebibytes(stat.free_space)).join(', ')}`;
  });
}

async function stats(hosts: readonly Host[], { uuid }: Sr): Promise<readonly SrStat[]> {
  const found: SrStat[] = [];
  for (const host of hosts) found.push(await host.call('SR.stat', { sr: uuid }));
  return found;
}

async function runGrow(
  host: Host,
  { uuid }: Sr,
  expect: 'any' | readonly number[] = [0],
): Promise<ExecResult> {
  return await host.exec(['gfs2-sr', 'sr', 'grow', uuid], { timeout: 300_000, expect });
}

async function refusedGrow(host: Host, sr: Sr): Promise<string> {
  const { exitCode, stderr } = await runGrow(host, sr, 'any');
  assert.equal(exitCode, 1, `gfs2-sr sr grow on ${host.name}: ${stderr}`);
  return stderr.trim();
}

/** Whether a sentence names a host, and not only as a part of another word. */
function named(sentence: string, host: string): boolean {
  return new RegExp(`\\b${host}\\b`).test(sentence);
}
