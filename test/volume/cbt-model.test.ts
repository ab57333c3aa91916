/**
 * Random operations on trees of tracked disks, with garbage collection in between, against a model in memory: no
 * block that changed is missing in an answer, and no answer is missing that can be given.
 *
 * GFS2_SR_CBT_SEED replays a run, GFS2_SR_CBT_STEPS makes it longer.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ChangedBlocks } from '../../src/smapi/interface.ts';
import { collectGarbage } from '../gc/collector.ts';
import { backupBlock, blocksOf, perform } from '../support/changed-blocks.ts';
import { checkConsistent } from '../support/consistency.ts';
import { read } from '../support/disk.ts';
import { Random } from '../support/random.ts';
import { VolumeHost } from '../support/volume-host.ts';
import { Worker } from '../support/worker.ts';

const unit = 4096;
/** Of qcow2 images, in bytes. */
const cluster = 131_072;
const perBlock = backupBlock / unit;
const mostVolumes = 14;
const steps = Number(process.env.GFS2_SR_CBT_STEPS ?? 250);
const seed = Number(process.env.GFS2_SR_CBT_SEED ?? Math.floor(Math.random() * 2 ** 32));

/** All volumes that came of one, as long as one of them has its data: then they have something in common. */
interface Family {
  readonly number: number;
}

/** A volume as it should be. */
interface Model {
  readonly key: string;
  readonly readWrite: boolean;
  tracked: boolean;
  hasData: boolean;
  family: Family;
  /** One byte for each unit of the disk, which a snapshot keeps when its data is gone. */
  content: Uint8Array;
}

describe(`changed blocks after random operations, seed ${seed}`, () => {
  const host = new VolumeHost();
  const sr = host.uuid;
  const random = new Random(seed);
  const counts = new Map<string, number>();
  let volumes: Model[] = [];
  let families = 0;
  let worker: Worker;

  beforeAll(async () => {
    await host.makeSr({ 'image-format': seed % 2 === 0 ? 'raw' : 'qcow2' });
    worker = new Worker(host.environment);
  });
  afterAll(async () => {
    await worker.end();
    host[Symbol.dispose]();
  });

  function count(what: string, by = 1): void {
    counts.set(what, (counts.get(what) ?? 0) + by);
  }

  const withData = (): Model[] => volumes.filter(({ hasData }) => hasData);
  const writable = (): Model[] => volumes.filter(({ readWrite }) => readWrite);

  async function step(): Promise<string> {
    const what = random.below(100);
    const volume = random.pick(writable());
    const any = random.pick(withData());
    if (volume === undefined || any === undefined || (what >= 97 && volumes.length < mostVolumes))
      return create();
    if (what < 30) return write(volume);
    if (what < 52) return volumes.length < mostVolumes ? snapshot(volume) : destroy(pickToDestroy());
    if (what < 58) return volumes.length < mostVolumes ? clone(any) : destroy(any);
    if (what < 70) return dataDestroy();
    if (what < 78) return destroy(pickToDestroy());
    if (what < 82) return resize(volume);
    if (what < 86) return revert(volume);
    if (what < 89) return track(writable().find(({ tracked }) => !tracked) ?? volume);
    return collect();
  }

  /** A snapshot mostly: trees that go as a whole leave nothing to ask about. */
  function pickToDestroy(): Model {
    const snapshots = volumes.filter(({ readWrite }) => !readWrite);
    return random.pick(random.below(6) === 0 || snapshots.length === 0 ? volumes : snapshots) as Model;
  }

  async function create(): Promise<string> {
    const units = 1 + random.below(perBlock * 40);
    const size = BigInt(units * unit);
    const { key } = await worker.call('Volume.create', {
      sr,
      name: '',
      description: '',
      size,
      sharable: false,
    });
    await worker.call('Volume.enable_cbt', { sr, key });
    volumes.push({
      key,
      readWrite: true,
      tracked: true,
      hasData: true,
      family: { number: families++ },
      content: new Uint8Array(units),
    });
    return 'create';
  }

  async function write(volume: Model): Promise<string> {
    const found = await worker.call('Volume.stat', { sr, key: volume.key });
    for (let times = 1 + random.below(3); times > 0; times--) {
      const how = random.below(8);
      // Only whole clusters read as zeros when they are discarded.
      const grain = how === 0 ? cluster : unit;
      const grains = Math.floor((volume.content.length * unit) / grain);
      if (grains === 0) continue;
      const first = random.below(grains);
      const many = 1 + random.below(Math.min(Math.ceil((backupBlock * 3) / grain), grains - first));
      const byte = how < 2 ? 0 : 1 + random.below(255);
      const where = `${first * grain} ${many * grain}`;
      perform(
        found,
        how === 0 ? `discard ${where}` : how === 1 ? `write -z ${where}` : `write -P ${byte} ${where}`,
      );
      volume.content.fill(byte, (first * grain) / unit, ((first + many) * grain) / unit);
    }
    return 'write';
  }

  async function snapshot(volume: Model): Promise<string> {
    const { key, cbt_enabled } = await worker.call('Volume.snapshot', { sr, key: volume.key });
    expect(cbt_enabled).toBe(volume.tracked);
    volumes.push({ ...volume, key, readWrite: false, content: volume.content.slice() });
    return 'snapshot';
  }

  async function clone(volume: Model): Promise<string> {
    const { key } = await worker.call('Volume.clone', { sr, key: volume.key });
    await worker.call('Volume.enable_cbt', { sr, key });
    volumes.push({ ...volume, key, readWrite: true, tracked: true, content: volume.content.slice() });
    return 'clone';
  }

  async function dataDestroy(): Promise<string> {
    const found = random.pick(withData().filter(({ readWrite, tracked }) => !readWrite && tracked));
    if (found === undefined) return 'nothing';
    await worker.call('Volume.data_destroy', { sr, key: found.key });
    found.hasData = false;
    leaveFamily();
    return 'data_destroy';
  }

  async function destroy(volume: Model): Promise<string> {
    await worker.call('Volume.destroy', { sr, key: volume.key });
    volumes = volumes.filter((other) => other !== volume);
    leaveFamily();
    return volume.hasData ? 'destroy' : 'destroy of metadata';
  }

  /** With the last data of a tree, nothing is left that its snapshots have in common with anything. */
  function leaveFamily(): void {
    const alive = new Set(withData().map(({ family }) => family));
    for (const volume of volumes) if (!alive.has(volume.family)) volume.family = { number: families++ };
  }

  async function resize(volume: Model): Promise<string> {
    const units = volume.content.length + random.below(perBlock * 4);
    await worker.call('Volume.resize', { sr, key: volume.key, new_size: BigInt(units * unit) });
    const content = new Uint8Array(units);
    content.set(volume.content);
    volume.content = content;
    return 'resize';
  }

  async function revert(volume: Model): Promise<string> {
    const from = random.pick(
      withData().filter(({ readWrite, family }) => !readWrite && family === volume.family),
    );
    if (from === undefined) return 'nothing';
    await worker.call('Volume.revert', { sr, snapshot: from.key, key: volume.key });
    volume.content = from.content.slice();
    return 'revert';
  }

  async function track(volume: Model): Promise<string> {
    volume.tracked = !volume.tracked;
    const call = volume.tracked ? 'Volume.enable_cbt' : 'Volume.disable_cbt';
    await worker.call(call, { sr, key: volume.key });
    return call;
  }

  async function collect(): Promise<string> {
    await collectGarbage(host);
    return 'collection';
  }

  function changedBlocks(from: Model, to: Model): ReadonlySet<number> {
    const changed = new Set<number>();
    for (let at = 0; at < to.content.length; at++) {
      if (at >= from.content.length || from.content[at] !== to.content[at])
        changed.add(Math.floor(at / perBlock));
    }
    return changed;
  }

  async function ask(from: Model, to: Model): Promise<ChangedBlocks | undefined> {
    try {
      const parameters = { sr, key: from.key, key2: to.key, offset: 0n, length: -1 };
      return await worker.call('Volume.list_changed_blocks', parameters);
    } catch (error) {
      if (String(error).includes('ChangesUnknown')) return undefined;
      throw error;
    }
  }

  async function check(from: Model, to: Model): Promise<void> {
    const answer = await ask(from, to);
    const isKnown =
      from.tracked && to.tracked && !from.readWrite && from.family === to.family && isAlive(from);
    expect(answer !== undefined, `an answer from ${from.key} to ${to.key}`).toBe(isKnown);
    if (answer === undefined) return count('refused');
    const listed = new Set(blocksOf(answer));
    const blocks = Math.ceil(to.content.length / perBlock);
    expect(Buffer.from(answer.bitmap, 'base64')).toHaveLength(Math.ceil(blocks / 8));
    const changed = changedBlocks(from, to);
    expect([...changed.difference(listed)], `missing from ${from.key} to ${to.key}`).toEqual([]);
    expect(Math.max(-1, ...listed)).toBeLessThan(blocks);
    count('answered');
    count('blocks changed', changed.size);
    count('blocks listed', listed.size);
    count('blocks in all', blocks);
  }

  function isAlive({ family }: Model): boolean {
    return withData().some((volume) => volume.family === family);
  }

  async function checkSome(pairs: number): Promise<void> {
    for (let pair = 0; pair < pairs; pair++) {
      const from = random.pick(volumes.filter(({ readWrite }) => !readWrite || random.below(8) === 0));
      const to = random.pick(
        volumes.filter((other) => random.below(4) === 0 || other.family === from?.family),
      );
      if (from !== undefined && to !== undefined) await check(from, to);
    }
  }

  async function checkData(): Promise<void> {
    for (const volume of withData()) {
      const found = await worker.call('Volume.stat', { sr, key: volume.key });
      const expected = Buffer.concat([...volume.content].map((byte) => Buffer.alloc(unit, byte)));
      if (!read(found).equals(expected))
        throw new Error(`the volume ${volume.key} has other data than it should`);
    }
    checkConsistent(host);
  }

  it(`in ${steps} steps are all listed`, { timeout: 120_000 + steps * 3_000 }, async () => {
    console.log(`seed ${seed}`);
    for (let number = 1; number <= steps; number++) {
      count(await step());
      await checkSome(3);
      if (number % 50 === 0) await checkData();
    }
    for (const from of volumes) for (const to of volumes) await check(from, to);
    await checkData();
    console.log([...counts].map(([what, times]) => `${times} ${what}`).join(', '));
    for (const { key } of volumes) await worker.call('Volume.destroy', { sr, key });
    expect(host.images()).toEqual([]);
    expect(await worker.call('SR.ls', { sr })).toEqual([]);
  });
});
