/** Hosts that snapshot, clone and destroy in one tree at the same time, while another one collects garbage in it. */
import { strict as assert } from 'node:assert';
import type { Stage } from '../scenario.ts';
import { readDigest, writeData } from '../support/data.ts';
import type { Host } from '../support/host.ts';
import type { Volume } from '../support/smapi.ts';
import { type ActiveDisk, activate, type Sr } from '../support/sr.ts';
import { createVolume } from '../support/temporary-sr.ts';

const seconds = 90;
/** Of the disk that all others come from, and of what is written to each of them. */
const whole = 8;
const part = 1;
/** Clones that a host keeps. */
const kept = 2;

interface Clone {
  readonly volume: Volume;
  /** Of all its data. */
  readonly sha256: string;
}

export async function branchTogether({ hosts, host, step }: Stage, sr: Sr): Promise<void> {
  const golden = await createVolume(host(1), sr, 'golden', 64);
  const disk = await activate(host(1), golden);
  const { sha256 } = await writeData(host(1), disk.device, whole);
  const rest = await digestOfRest(host(1), disk.device);
  await disk.deactivate();
  const branching = [host(1), host(2)];
  const collector = host(3);
  const clones: Clone[] = [];

  await step(`${seconds} s in one tree`, async () => {
    const end = Date.now() + seconds * 1000;
    let merged = 0;
    const collect = async (): Promise<void> => {
      while (Date.now() < end) {
        const { stdout } = await collector.exec(['gfs2-sr', 'gc', 'run', sr.uuid], { timeout: 300_000 });
        merged += Number(/: (\d+) images merged/.exec(stdout)?.[1]);
      }
    };
    const [rounds] = await Promise.all([
      Promise.all(branching.map((each) => branch(each, sr, golden, end, clones))),
      collect(),
    ]);
    return `${branching.map(({ name }, index) => `${name} ${rounds[index]} rounds`).join(', ')}; ${collector.name} merged ${merged} images meanwhile`;
  });
  await step('what is there afterwards', async () => {
    for (const each of hosts) {
      const keys = (await each.call('SR.ls', { sr: sr.uuid })).map(({ key }) => key);
      assert.deepEqual(
        keys.sort(),
        [golden, ...clones.map(({ volume }) => volume)].map(({ key }) => key).sort(),
      );
    }
    assert.equal(await digestOn(host(2), sr, golden.key), sha256, 'the disk that all came from');
    for (const { volume, sha256: expected } of clones) {
      const running = await activate(
        host(3),
        await host(3).call('Volume.stat', { sr: sr.uuid, key: volume.key }),
      );
      assert.equal(await readDigest(host(3), running.device, whole), expected, 'what was written to a clone');
      assert.equal(await digestOfRest(host(3), running.device), rest, 'what a clone has from its snapshot');
      await running.deactivate();
    }
    for (const { volume } of clones) await host(2).call('Volume.destroy', { sr: sr.uuid, key: volume.key });
    return `the volumes that were acknowledged, on all hosts, and the data of ${clones.length + 1} disks`;
  });
  await step('space', async () => {
    await host(3).exec(['gfs2-sr', 'gc', 'run', sr.uuid], { timeout: 300_000 });
    const files = (await host(1).sh('ls "$1/images"', [host(1).mountPoint(sr.uuid)])).trim().split('\n');
    assert.equal(files.length, 1, files.join(' '));
    assert.equal(await digestOn(host(1), sr, golden.key), sha256);
    return 'of the tree one image is left';
  });
  await host(1).call('Volume.destroy', { sr: sr.uuid, key: golden.key });
}

/** Adds the clones that stay to `clones`; answers how many it made. */
async function branch(host: Host, sr: Sr, golden: Volume, end: number, clones: Clone[]): Promise<number> {
  const own: Clone[] = [];
  let rounds = 0;
  while (Date.now() < end) {
    const snapshot = await host.call('Volume.snapshot', { sr: sr.uuid, key: golden.key });
    const volume = await host.call('Volume.clone', { sr: sr.uuid, key: snapshot.key });
    const sha256 = await writeTwice(host, sr, volume);
    own.push({ volume, sha256 });
    await host.call('Volume.destroy', { sr: sr.uuid, key: snapshot.key });
    if (own.length > kept) {
      const oldest = own.shift() as Clone;
      await host.call('Volume.destroy', { sr: sr.uuid, key: oldest.volume.key });
    }
    rounds += 1;
  }
  clones.push(...own);
  return rounds;
}

/** Writes to a disk before and after a snapshot of it, which then is garbage; answers the digest of all its data. */
async function writeTwice(host: Host, sr: Sr, { key }: Volume): Promise<string> {
  const run = async (): Promise<ActiveDisk> =>
    await activate(host, await host.call('Volume.stat', { sr: sr.uuid, key }));
  const first = await run();
  await writeData(host, first.device, part);
  await first.deactivate();
  const snapshot = await host.call('Volume.snapshot', { sr: sr.uuid, key });
  const second = await run();
  await writeData(host, second.device, part);
  const sha256 = await readDigest(host, second.device, whole);
  await second.deactivate();
  await host.call('Volume.destroy', { sr: sr.uuid, key: snapshot.key });
  return sha256;
}

async function digestOn(host: Host, sr: Sr, key: string): Promise<string> {
  const disk = await activate(host, await host.call('Volume.stat', { sr: sr.uuid, key }));
  const found = await readDigest(host, disk.device, whole);
  await disk.deactivate();
  return found;
}

/** Of what is not written to clones. */
async function digestOfRest(host: Host, device: string): Promise<string> {
  return await host.sh('dd if="$1" bs=1M skip="$2" count="$3" iflag=direct status=none | sha256sum', [
    device,
    String(part),
    String(whole - part),
  ]);
}
