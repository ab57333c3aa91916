import { strict as assert } from 'node:assert';
import type { LunName } from '../lab/target.ts';
import type { Scenario, Stage } from './scenario.ts';
import { completeCluster, startCluster } from './support/cluster.ts';
import { eventually } from './support/eventually.ts';
import { callDies, commandDies, imageFaultPoints, putFaultPoints } from './support/fault-points.ts';
import type { Host } from './support/host.ts';
import type { Volume } from './support/smapi.ts';
import { type ActiveDisk, activate, attachSr, detachSr, type Sr } from './support/sr.ts';
import { createVolume, temporarySr } from './support/temporary-sr.ts';
import { expectNoTraces } from './support/traces.ts';
import { checkBlocks, longestGap, startWriter, type Writer } from './support/writer.ts';

const lun: LunName = { target: 'pool', number: 1 };
/** Snapshots that a disk gets while it is written. */
const count = 4;

/** A disk that its host writes to all the time. */
interface Written {
  readonly volume: Volume;
  readonly disk: ActiveDisk;
  readonly writer: Writer;
}

export const live: Scenario = {
  letter: 'l',
  title: 'snapshots, merges and growth under a disk that is written',
  proves:
    'a disk is snapshotted, grows, and its images are merged, while its guest writes, which sees no error; others read the snapshots at once; other hosts are refused; whoever dies in between, call or host, loses nothing',
  hosts: 3,
  async run(stage) {
    const { hosts, host, target, step, afterwards } = stage;
    await stage.haveCluster();
    await Promise.all(hosts.map((each) => each.exec(['systemctl', 'stop', 'gfs2-sr-gc.timer'])));
    afterwards(() => Promise.all(hosts.map((each) => each.exec(['systemctl', 'start', 'gfs2-sr-gc.timer']))));
    const sr = await temporarySr(stage, host(1), lun, 'the SR of scenario l', 'qcow2');
    await attachSr(hosts, sr);
    const volume = await createVolume(host(1), sr, 'written', 16);
    const disk = await activate(host(1), volume);
    const written: Written = { volume, disk, writer: await startWriter(host(1), disk.device) };
    afterwards(() => written.writer.stop().catch(() => {}));
    const snapshots = await takeSnapshots(stage, sr, written);
    await mergeUnderIt(stage, sr, written, snapshots);
    const { remove } = await putFaultPoints(host(1));
    afterwards(remove);
    await growUnderIt(stage, sr, written);
    await dieUnderIt(stage, sr, written);
    await loseTheHost(stage, sr, written);
    await step('SR.detach on all hosts', async () => {
      await detachSr(hosts, sr);
      for (const each of hosts) await expectNoTraces(each, target);
      return 'nothing is left';
    });
  },
};

async function takeSnapshots({ host, step }: Stage, sr: Sr, written: Written): Promise<readonly Volume[]> {
  const { volume, writer } = written;
  const snapshots: Volume[] = [];
  await step(`${count} snapshots while ${host(1).name} writes`, async () => {
    for (let taken = 0; taken < count; taken++) {
      await writer.more(20, 120);
      snapshots.push(await host(1).call('Volume.snapshot', { sr: sr.uuid, key: volume.key }));
    }
    await writer.more(20, 120);
    const now = await host(1).call('Volume.stat', { sr: sr.uuid, key: volume.key });
    assert.deepEqual(now.uri, volume.uri);
    return `${writer.count} blocks without an error, the longest took ${longestGap(writer).toFixed(1)} s; the disk's URI is as it was`;
  });
  await step(`the first snapshot, read on ${host(2).name} meanwhile`, async () => {
    const disk = await activateReadOnly(host(2), snapshots[0] as Volume);
    const before = await digest(host(2), disk.device);
    await writer.more(20, 120);
    assert.equal(await digest(host(2), disk.device), before, 'it changes with the disk');
    await disk.deactivate();
    return 'the same before and after more was written to the disk';
  });
  await step(`a snapshot from ${host(2).name}`, async () => {
    const refused = await host(2).refusal('Volume.snapshot', { sr: sr.uuid, key: volume.key });
    assert.equal(refused.code, 'SR_BACKEND_FAILURE');
    assert.equal(refused.params[0], 'Activated_on_another_host');
    return refused.sentence;
  });
  return snapshots;
}

async function mergeUnderIt(
  { host, step }: Stage,
  sr: Sr,
  { writer }: Written,
  snapshots: readonly Volume[],
): Promise<void> {
  await step('garbage collection while it writes', async () => {
    for (const { key } of snapshots) await host(2).call('Volume.destroy', { sr: sr.uuid, key });
    const elsewhere = await collect(host(2), sr);
    assert.match(elsewhere, /: 0 images merged/);
    const here = await collect(host(1), sr);
    assert.match(here, new RegExp(`: ${count - 1} images merged`));
    await writer.more(20, 120);
    assert.equal((await imagesOf(host(1), sr)).length, 2);
    return `on ${host(2).name}: ${elsewhere}; on ${host(1).name}: ${here}; the longest write took ${longestGap(writer).toFixed(1)} s`;
  });
}

async function growUnderIt({ host, step }: Stage, sr: Sr, { volume, disk, writer }: Written): Promise<void> {
  const { running } = await imageFaultPoints();
  const { key } = volume;
  let size = volume.virtual_size;
  const resize = { sr: sr.uuid, key };
  const seen = async (): Promise<bigint> =>
    BigInt(await host(1).sh('blockdev --getsize64 "$1"', [disk.device]));
  await step('Volume.resize while it writes', async () => {
    const from = writer.count;
    size += 4_194_304n;
    await host(1).call('Volume.resize', { ...resize, new_size: size });
    assert.equal(await seen(), size);
    await writer.more(20, 120);
    const refused = await host(2).refusal('Volume.resize', { ...resize, new_size: size + 4_194_304n });
    assert.equal(refused.params[0], 'Activated_on_another_host');
    return `${disk.device} has ${size} bytes; the longest write took ${longestGap(writer, from).toFixed(1)} s; on ${host(2).name}: ${refused.sentence}`;
  });
  await step(`Volume.resize, killed at ${running.resize.length} points`, async () => {
    const from = writer.count;
    for (const point of running.resize) {
      size += 4_194_304n;
      await callDies(host(1), 'Volume.resize', { ...resize, new_size: size }, point);
      // Nobody makes another call: what watches over the host's disks sees to it.
      await writer.more(20, 120);
      await host(1).call('Volume.resize', { ...resize, new_size: size });
      assert.equal(await seen(), size, point);
    }
    await writer.more(20, 120);
    assert.equal((await host(2).call('Volume.stat', { sr: sr.uuid, key })).virtual_size, size);
    return `${writer.count} blocks without an error, the longest write took ${longestGap(writer, from).toFixed(1)} s; ${size} bytes`;
  });
}

/** Each call dies at each of its steps; the writer goes on. */
async function dieUnderIt({ host, step }: Stage, sr: Sr, written: Written): Promise<void> {
  const { volume, writer } = written;
  const { running } = await imageFaultPoints();
  const destroySnapshots = async (): Promise<void> => {
    for (const { key } of await host(1).call('SR.ls', { sr: sr.uuid }))
      if (key !== volume.key) await host(1).call('Volume.destroy', { sr: sr.uuid, key });
  };
  await step(`Volume.snapshot, killed at ${running.snapshot.length} points`, async () => {
    for (const point of running.snapshot) {
      await callDies(host(1), 'Volume.snapshot', { sr: sr.uuid, key: volume.key }, point);
      await writer.more(2, 120);
    }
    const whole = await host(1).call('Volume.snapshot', { sr: sr.uuid, key: volume.key });
    const disk = await activateReadOnly(host(2), whole);
    await disk.deactivate();
    await destroySnapshots();
    return `${writer.count} blocks without an error; the next snapshot is read on ${host(2).name}`;
  });
  await step(`merges, killed at ${running.merge.length} points`, async () => {
    for (const point of running.merge) {
      for (let made = 0; made < 2; made++) {
        await host(1).call('Volume.snapshot', { sr: sr.uuid, key: volume.key });
        await writer.more(2, 120);
      }
      await destroySnapshots();
      await commandDies(host(1), ['gc', 'run', sr.uuid], point);
      await writer.more(2, 120);
    }
    await collect(host(1), sr);
    assert.equal((await imagesOf(host(1), sr)).length, 2);
    return `${writer.count} blocks without an error; of the chain two images are left`;
  });
}

async function loseTheHost(stage: Stage, sr: Sr, { volume, writer }: Written): Promise<void> {
  const { hosts, host, step, afterwards } = stage;
  const [lost, other] = [host(1), host(2)];
  const { machine } = lost;
  afterwards(async () => {
    if (!(await machine.hasPower())) await machine.start();
  });
  await step(`${lost.name} loses its power in the midst of a snapshot`, async () => {
    await callDies(lost, 'Volume.snapshot', { sr: sr.uuid, key: volume.key }, 'live-snapshot.rows');
    await writer.more(20, 120);
    await machine.powerCut();
    const disk = await eventually('the disk on another host', { within: 240 }, async () =>
      activate(other, await other.call('Volume.stat', { sr: sr.uuid, key: volume.key })),
    );
    const seen = await checkBlocks(other, disk.device, writer);
    await disk.deactivate();
    const { exitCode, stdout, stderr } = await other.exec(['gfs2-sr', 'sr', 'check', sr.uuid], {
      expect: 'any',
      timeout: 300_000,
    });
    assert.equal(exitCode, 0, `${stdout}${stderr}`);
    return `on ${other.name} ${seen}; the SR is in order`;
  });
  await step(`${lost.name} again`, async () => {
    await machine.start();
    await startCluster(lost);
    await completeCluster(hosts, 120);
    await attachSr([lost], sr);
    const disk = await activate(lost, await lost.call('Volume.stat', { sr: sr.uuid, key: volume.key }));
    const seen = await checkBlocks(lost, disk.device, writer);
    await disk.deactivate();
    return seen;
  });
}

async function activateReadOnly(host: Host, { uri: [uri = ''] }: Volume): Promise<ActiveDisk> {
  const scheme = 'qcow2+file';
  const disk = { uri, domain: 'u0_lab' };
  const { implementations } = await host.call('Datapath.attach', disk, { scheme });
  await host.call('Datapath.activate_readonly', disk, { scheme });
  const device = implementations.find(([tag]) => tag === 'BlockDevice')?.[1].path;
  assert(device !== undefined);
  return {
    device,
    async deactivate() {
      await host.call('Datapath.deactivate', disk, { scheme });
      await host.call('Datapath.detach', disk, { scheme });
    },
  };
}

async function digest(host: Host, device: string): Promise<string> {
  return await host.sh('dd if="$1" bs=1M count=4 iflag=direct status=none | sha256sum', [device]);
}

async function collect(host: Host, { uuid }: Sr): Promise<string> {
  const { stdout } = await host.exec(['gfs2-sr', 'gc', 'run', uuid], { timeout: 300_000 });
  return stdout.trim();
}

async function imagesOf(host: Host, { uuid }: Sr): Promise<readonly string[]> {
  return (await host.sh('ls "$1/images"', [host.mountPoint(uuid)])).trim().split('\n');
}
